// Package lint reports errors and known pitfalls of a GitLab CI/CD configuration. An error is what GitLab refuses on one of the
// events that are compiled; a pitfall is what GitLab accepts although it does something else than was intended, and belongs to a [Rule].
package lint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"gitlab.com/slipway-ci/slipway/internal/concurrent"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// A Severity is that of a [Rule] or a [Finding].
type Severity string

// The severities. Off is only for rules: they are not checked.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Off     Severity = "off"
)

// A Finding is one problem at one place.
type Finding struct {
	// Rule is the id of the rule, "invalid" for what GitLab refuses.
	Rule     string
	Severity Severity
	Position pipeline.Position
	// Path is the key path, as in "jobs:build:needs"; empty if the finding is about the file.
	Path string
	// Message says what is wrong, Hint how to fix it. Findings of one cause have the same of both, whatever their job.
	Message string
	Hint    string
	// Events names the events that are affected, if not all are.
	Events []string
}

// Options choose what is checked.
type Options struct {
	// Events are compiled; [pipeline.StandardEvents] if nil.
	Events []pipeline.Event
	// Disable holds ids of rules that are not checked.
	Disable []string
	// Settings are those of the project's configuration file.
	Settings Settings
	// ConfigPath is the configuration's file; ".gitlab-ci.yml" if empty.
	ConfigPath string
	// Incomplete reports that missing includes are skipped ([pipeline.Options.SkipMissing]): what seems unused may be used there.
	Incomplete bool
}

// Run checks a configuration and the templates beside it (GitLab's `templates/` folder). The findings are sorted by file and
// line. The error is for what prevents the check: an unknown rule in the options, a cancelled context.
func Run(ctx context.Context, files fs.FS, project *pipeline.Project, options Options) ([]Finding, error) {
	if options.ConfigPath == "" {
		options.ConfigPath = ".gitlab-ci.yml"
	}
	if options.Events == nil {
		options.Events = pipeline.StandardEvents()
	}
	active, err := options.rules()
	if err != nil {
		return nil, err
	}
	p := &pass{configPath: options.ConfigPath, settings: options.Settings, incomplete: options.Incomplete}
	var reading sync.WaitGroup
	reading.Go(func() { p.sources = loadSources(files, project, options.ConfigPath) })
	err = p.compile(ctx, project, options.Events)
	reading.Wait()
	if err != nil {
		return nil, err
	}
	if policy := options.Settings.Includes; includesVariables(p.sources) || policy.Projects != nil || policy.Hosts != nil {
		p.files = compiledFiles(ctx, project, options.Events)
		p.sources = addSources(p.sources, files, project, p.files)
	}
	p.distinct = distinctJobs(p.plans)
	p.host = serverHost(p.plans)
	p.scripts = p.parseScripts()
	p.check(active)
	return p.sorted(), nil
}

// check runs the rules, several at a time; each works on its own pass.
func (p *pass) check(active []Rule) {
	found := make([][]Finding, len(active))
	concurrent.Do(len(active), func(i int) {
		own := *p
		own.rule, own.findings = active[i], nil
		own.rule.check(&own)
		found[i] = own.findings
	})
	p.findings = append(p.findings, slices.Concat(found...)...)
}

// A pass is one run over one configuration: what the rules look at and what they found.
type pass struct {
	configPath string
	settings   Settings
	incomplete bool
	sources    []*source
	scripts    []*script
	// files are those that the compiled configurations consist of, if they were needed; host is the GitLab instance's.
	files []string
	host  string
	plans []*pipeline.Plan
	// distinct are the jobs of the plans and of their child pipelines, each once.
	distinct []*pipeline.Job
	// branchWithMergeRequest is the pipeline of a push to a branch that has an open merge request; nil if there is none, or if
	// that event is not among those that are checked.
	branchWithMergeRequest *pipeline.Plan
	rule                   Rule
	findings               []Finding
}

// compile plans every event; what GitLab refuses becomes findings.
func (p *pass) compile(ctx context.Context, project *pipeline.Project, events []pipeline.Event) error {
	for _, o := range project.PlanAll(ctx, events) {
		var list pipeline.Errors
		switch {
		case o.Err == nil:
			p.plans = append(p.plans, o.Plan)
			if o.Event.Source == pipeline.Push && len(o.Event.OpenMergeRequests) > 0 && o.Plan.Created {
				p.branchWithMergeRequest = o.Plan
			}
		case errors.As(o.Err, &list):
			for _, e := range list {
				p.refused(e, o.Event)
			}
		default:
			return fmt.Errorf("%s: %w", render.EventLabel(o.Event), o.Err)
		}
	}
	for i := range p.findings {
		if len(p.findings[i].Events) == len(events) {
			p.findings[i].Events = nil
		}
	}
	return nil
}

// refused adds an error once, however many events have it.
func (p *pass) refused(e *pipeline.Error, event pipeline.Event) {
	label := render.EventLabel(event)
	position := e.Position
	if position.File == "" {
		position = p.topOfConfig()
	}
	for i := range p.findings {
		f := &p.findings[i]
		if f.Position == position && f.Message == e.Message {
			if !slices.Contains(f.Events, label) {
				f.Events = append(f.Events, label)
			}
			return
		}
	}
	p.findings = append(p.findings, Finding{
		Rule: invalid, Severity: Error, Position: position, Path: e.Path, Message: e.Message, Hint: e.Hint, Events: []string{label},
	})
}

func (p *pass) topOfConfig() pipeline.Position {
	return pipeline.Position{File: p.configPath, Line: 1, Column: 1}
}

// report adds a finding, unless it is known already, a comment in the file suppresses it, or it is in a file of another
// project, which cannot be fixed here.
func (p *pass) report(f Finding) {
	f.Rule, f.Severity = p.rule.ID, p.rule.Severity
	for _, known := range p.findings {
		if known.Position == f.Position && known.Message == f.Message {
			return
		}
	}
	s := p.source(f.Position.File)
	if s == nil && f.Position.File != p.configPath || s != nil && s.suppresses(f.Rule, f.Position.Line) {
		return
	}
	p.findings = append(p.findings, f)
}

func (p *pass) source(path string) *source {
	for _, s := range p.sources {
		if s.path == path {
			return s
		}
	}
	return nil
}

func (p *pass) sorted() []Finding {
	slices.SortStableFunc(p.findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Position.File, b.Position.File), cmp.Compare(a.Position.Line, b.Position.Line),
			cmp.Compare(a.Position.Column, b.Position.Column), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Message, b.Message))
	})
	return p.findings
}

// Errors counts the findings of severity [Error].
func Errors(findings []Finding) int {
	n := 0
	for _, f := range findings {
		if f.Severity == Error {
			n++
		}
	}
	return n
}
