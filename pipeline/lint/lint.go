// Package lint finds what is wrong with a GitLab CI/CD configuration, and what is right for GitLab but will hurt: the
// errors that any standard event meets, and the known pitfalls, each a [Rule] with an id that can be switched off.
package lint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"gitlab.com/slipway-ci/slipway/internal/concurrent"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// A Severity says whether GitLab refuses (Error) or obeys although it should not be asked to (Warning).
type Severity string

// The severities of a [Finding].
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// A Finding is one thing that is wrong.
type Finding struct {
	// Rule is the id of the rule, "invalid" for what GitLab refuses.
	Rule     string
	Severity Severity
	Position pipeline.Position
	// Path is the key path, as in "jobs:build:needs"; empty if the finding is about the file.
	Path    string
	Message string
	// Hint says what would be right.
	Hint string
	// Events names the events on which it happens, if not on all.
	Events []string
}

// Options choose what is looked at.
type Options struct {
	// Events are compiled; [pipeline.StandardEvents] if nil.
	Events []pipeline.Event
	// Disable holds ids of rules that are left out.
	Disable []string
	// ConfigPath is the configuration's file; ".gitlab-ci.yml" if empty.
	ConfigPath string
}

// Run looks at a configuration and at the templates beside it (GitLab's `templates/` folder). The findings are sorted by
// file and line. The error is for what prevents looking: an unknown id in Disable, a cancelled context.
func Run(ctx context.Context, files fs.FS, project *pipeline.Project, options Options) ([]Finding, error) {
	if options.ConfigPath == "" {
		options.ConfigPath = ".gitlab-ci.yml"
	}
	if options.Events == nil {
		options.Events = pipeline.StandardEvents()
	}
	for _, id := range options.Disable {
		if !slices.ContainsFunc(rules, func(r Rule) bool { return r.ID == id }) {
			return nil, fmt.Errorf("no lint rule %q; `slipway lint --list-rules` names them", id)
		}
	}
	p := &pass{configPath: options.ConfigPath}
	var reading sync.WaitGroup
	reading.Go(func() {
		p.sources = loadSources(files, project, options.ConfigPath)
		p.index()
		p.scripts = p.parseScripts(p.sources)
	})
	err := p.compile(ctx, project, options.Events)
	reading.Wait()
	if err != nil {
		return nil, err
	}
	if names := compiledSources(ctx, p.sources, project, options.Events); len(names) > 0 {
		known := len(p.sources)
		p.sources = addSources(p.sources, files, project, names)
		p.index()
		p.scripts = append(p.scripts, p.parseScripts(p.sources[known:])...)
	}
	p.distinct = distinctJobs(p.plans)
	p.check(options.Disable)
	return p.sorted(), nil
}

// check asks the rules, several at once; each works on a pass of its own.
func (p *pass) check(disabled []string) {
	found := make([][]Finding, len(rules))
	concurrent.Do(len(rules), func(i int) {
		if slices.Contains(disabled, rules[i].ID) {
			return
		}
		own := *p
		own.rule, own.findings = rules[i], nil
		own.rule.check(&own)
		found[i] = own.findings
	})
	p.findings = append(p.findings, slices.Concat(found...)...)
}

// index notes the jobs of the sources by their names.
func (p *pass) index() {
	p.named = map[string][]sourceJob{}
	for _, job := range p.jobs() {
		p.named[job.name] = append(p.named[job.name], job)
	}
}

// A pass is one run over one configuration: what the rules look at and what they found.
type pass struct {
	configPath string
	sources    []*source
	scripts    []*script
	// named are the jobs of the sources by their names.
	named map[string][]sourceJob
	plans []*pipeline.Plan
	// distinct are the jobs of the plans, each once.
	distinct []*pipeline.Job
	// branchWithMergeRequest is the pipeline of a push to a branch that has an open merge request.
	branchWithMergeRequest *pipeline.Plan
	rule                   Rule
	findings               []Finding
}

// compile plans every event; what GitLab refuses becomes findings.
func (p *pass) compile(ctx context.Context, project *pipeline.Project, events []pipeline.Event) error {
	outcomes := project.PlanAll(ctx, append(slices.Clone(events), branchWithMergeRequest))
	// A refusal of the last one is told for the event without a merge request.
	if plan := outcomes[len(events)].Plan; plan != nil && plan.Created {
		p.branchWithMergeRequest = plan
	}
	for _, o := range outcomes[:len(events)] {
		var list pipeline.Errors
		switch {
		case o.Err == nil:
			p.plans = append(p.plans, o.Plan)
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

// branchWithMergeRequest is the push that GitLab also reports as an event of the merge request.
var branchWithMergeRequest = pipeline.Event{
	Source: pipeline.Push, Branch: "feature", OpenMergeRequests: []string{"acme/app!1"},
}

// refused notes an error once, however many events meet it.
func (p *pass) refused(e *pipeline.Error, event pipeline.Event) {
	label := render.EventLabel(event)
	position := e.Position
	if position.File == "" {
		position = pipeline.Position{File: p.configPath, Line: 1, Column: 1}
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

// report notes a pitfall, unless it is known already, a comment in the file switches it off, or it is in a file of another
// project: who reads the report cannot mend that.
func (p *pass) report(f Finding) {
	f.Rule, f.Severity = p.rule.ID, p.rule.Severity
	for _, known := range p.findings {
		if known.Rule == f.Rule && known.Position == f.Position && known.Message == f.Message {
			return
		}
	}
	s := p.source(f.Position.File)
	if s == nil && f.Position.File != p.configPath || s != nil && s.disabled(f.Rule, f.Position.Line) {
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
		return cmpFirst(strings.Compare(a.Position.File, b.Position.File), a.Position.Line-b.Position.Line,
			a.Position.Column-b.Position.Column, strings.Compare(a.Rule, b.Rule), strings.Compare(a.Message, b.Message))
	})
	return p.findings
}

// cmpFirst is the first comparison that decides.
func cmpFirst(comparisons ...int) int {
	for _, c := range comparisons {
		if c != 0 {
			return c
		}
	}
	return 0
}

// Errors counts the findings that GitLab would refuse.
func Errors(findings []Finding) int {
	n := 0
	for _, f := range findings {
		if f.Severity == Error {
			n++
		}
	}
	return n
}
