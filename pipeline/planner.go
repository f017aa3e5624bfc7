package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// Plan compiles the configuration for an event: which jobs GitLab would create, with everything decided.
// Errors are [Errors]: those of the configuration, and those that only this event has ([Error.Create]). Plans of one project
// share lists of variables, scripts and so on, which must not be changed in place.
func (p *Project) Plan(ctx context.Context, event Event) (*Plan, error) {
	if mark := event.skipMark(); mark != "" {
		return p.skippedPlan(event, mark), nil
	}
	c := p.compiler(ctx, event)
	return c.plan(c.configuration())
}

// plan decides on a configuration, nil if there were errors.
func (c *compiler) plan(config *configuration) (*Plan, error) {
	if config == nil {
		return nil, c.errors()
	}
	spec, errs := config.specification()
	if spec == nil {
		return nil, errs
	}
	pl := newPlanner(c, config, spec)
	plan := pl.plan()
	if len(pl.Problems) > 0 {
		errs := errorsOf(pl.Problems, nil)
		for _, e := range errs {
			e.Create = true
		}
		return nil, errs
	}
	return plan, nil
}

// A planner decides on the jobs of a specification for an event.
type planner struct {
	evaluator
	checker
	spec     *specification
	includes []Include

	triggers map[*Job]*node // the keyword of jobs that start a child pipeline

	base *variableSet // predefined variables of the pipeline
	root []Variable   // global variables with those of the workflow
}

func newPlanner(c *compiler, config *configuration, spec *specification) *planner {
	base := newVariableSet(c.base.list, decisionVariables(c.event))
	return &planner{
		evaluator: c.evaluator(c.project.own),
		checker:   newChecker(c.Parsed),
		spec:      spec,
		triggers:  make(map[*Job]*node),
		includes:  config.decisions,
		base:      base,
	}
}

func (p *planner) plan() *Plan {
	event := p.event
	event.Inputs = plainInputs(event.Inputs)
	plan := &Plan{
		Event: event, Predefined: withoutRegistry(p.base.list, event), Project: p.project.options.Variables, Run: p.event.Variables, Includes: p.includes,
	}
	p.root = p.spec.variables
	if !p.workflow(plan) {
		return plan
	}
	created := p.jobs(plan)
	if len(p.Problems) > 0 {
		return nil
	}
	ordinary := false
	for _, j := range created {
		ordinary = ordinary || j.Stage != preStage && j.Stage != postStage
	}
	if !ordinary {
		plan.Reason = "no_jobs"
		for _, j := range created {
			j.Decision.Text += "; jobs of .pre and .post alone make no pipeline"
		}
		plan.Dropped = append(plan.Dropped, created...)
		return plan
	}
	if len([]rune(plan.Name)) > maxPipelineName {
		p.Fail((check.NewPath("workflow")).Child("name"), p.spec.nameNode, "", "the name is longer than %d characters with its variables: %s",
			maxPipelineName, yamltree.Shorten(plan.Name))
		return nil
	}
	plan.Created = true
	plan.Jobs = created
	p.project.children(p.ctx, plan, p.triggers)
	for _, j := range created {
		if len(plan.Stages) == 0 || plan.Stages[len(plan.Stages)-1] != j.Stage {
			plan.Stages = append(plan.Stages, j.Stage)
		}
	}
	return plan
}

// settings are the variables that beat YAML, as a job of an environment sees them.
func (p *planner) settings(environment string) *variableSet {
	protected := p.event.RefProtected
	return newVariableSet(userVariables(p.event), visibleVariables(p.project.options.Variables, environment, protected),
		visibleVariables(p.event.Variables, environment, protected))
}

// workflow decides whether there is a pipeline, and its name.
func (p *planner) workflow(plan *Plan) bool {
	plan.AutoCancel = mergeAutoCancel(p.spec.autoCancel, nil)
	plan.Decision = Decision{Rule: -1, Text: "there are no workflow:rules"}
	if p.spec.workflow != nil {
		s := newScope(p.base, setOf(p.root), p.settings(""))
		i, checks, err := p.match("workflow:rules", p.spec.workflow, s)
		plan.Decision.Checks = checks
		if err != nil {
			// GitLab treats a rule that it cannot decide as one with `when: never`.
			plan.Reason, plan.Decision.Text = "workflow", err.Error()
			return false
		}
		plan.Decision.Rule = i
		if i < 0 {
			plan.Decision.Text = fmt.Sprintf("none of %d workflow:rules matched", len(p.spec.workflow))
		} else {
			r := p.spec.workflow[i]
			plan.Decision.Text = fmt.Sprintf("workflow:rules[%d] matched: %s", i, r.summary)
			plan.Decision.Position = at(r.node)
		}
		if i < 0 || p.spec.workflow[i].when == Never {
			plan.Reason = "workflow"
			return false
		}
		r := p.spec.workflow[i]
		p.root = mergeVariables(p.root, r.variables)
		plan.AutoCancel = mergeAutoCancel(plan.AutoCancel, r.autoCancel)
	}
	if p.spec.name != "" {
		s := newScope(p.base, setOf(p.root), p.settings(""))
		plan.Name = strings.TrimSpace(variable.Expand(strings.TrimSpace(p.spec.name), s.expandedValue))
	}
	return true
}

// mergeAutoCancel returns nil if neither is given.
func mergeAutoCancel(base, over *AutoCancel) *AutoCancel {
	var merged AutoCancel
	for _, a := range []*AutoCancel{over, base} {
		if a != nil {
			merged.OnNewCommit = cmp.Or(merged.OnNewCommit, a.OnNewCommit)
			merged.OnJobFailure = cmp.Or(merged.OnJobFailure, a.OnJobFailure)
		}
	}
	if merged == (AutoCancel{}) {
		return nil
	}
	return &merged
}

// jobs decides on all jobs, by stage and then in the order of the configuration.
func (p *planner) jobs(plan *Plan) []*Job {
	byStage := make(map[string][]*jobSpec, len(p.spec.stages))
	for _, j := range p.spec.jobs {
		byStage[j.Stage] = append(byStage[j.Stage], j)
	}
	var created []*Job
	kept := make(map[string]bool, len(p.spec.jobs))
	common := p.settings("")
	decided := make([]*decision, 0, len(p.spec.jobs))
	stageKept := make(map[string]bool, len(p.spec.stages))
	for _, stage := range p.spec.stages {
		for _, j := range byStage[stage] {
			d := p.decide(j, common)
			decided = append(decided, d)
			kept[j.Name] = d.included
			stageKept[stage] = stageKept[stage] || d.included
		}
	}
	for _, d := range decided {
		job := p.job(d)
		// GitLab reports what is wrong with a stage's jobs only if the pipeline has one of them.
		if stageKept[d.spec.Stage] {
			p.validate(d, kept)
		}
		if !d.included {
			plan.Dropped = append(plan.Dropped, job)
			continue
		}
		created = append(created, job)
		if job.Trigger != nil {
			p.triggers[job] = d.spec.node.Get("trigger")
		}
	}
	return created
}

// validate checks what can only be known of a job that is created: that its needs are too.
func (p *planner) validate(d *decision, kept map[string]bool) {
	path := jobsPath.Child(d.spec.BaseName)
	if d.err != nil {
		p.Fail(path.Child("rules"), d.spec.node.Get("rules"), "", "%v", d.err)
		return
	}
	if !d.included {
		return
	}
	if n := len(d.spec.needs.jobs); n > maxNeeds {
		p.Fail(path.Child("needs"), d.spec.node.Get("needs"), "", "%d needs, more than %d", n, maxNeeds)
		return
	}
	for _, n := range d.spec.needs.jobs {
		if !n.Optional && !kept[n.Job] {
			p.Fail(path.Child("needs"), n.node, "give both jobs the same rules, or write optional: true",
				"%s needs %s, which this pipeline does not have", d.spec.Name, n.Job)
		}
	}
	if name := cmp.Or(d.tooBig, d.scope.tooBig, d.final.tooBig); name != "" {
		p.Fail(check.NewPath("variables"), nil, "", "%s has more than %d bytes when it is expanded", name, variable.MaxExpanded)
		return
	}
	if cycle := d.scope.cycle(); cycle != nil {
		p.Fail(check.NewPath("variables"), nil, "", "variables use each other: %s", join(cycle))
	}
}

// A decision is what becomes of a job.
type decision struct {
	spec     *jobSpec
	job      *Job // a copy of the specification's
	included bool
	rule     *rule // that matched
	index    int   // of that rule
	text     string
	checks   []Check
	err      error
	// variables are those of the job with those of the rule; scope is all that its rules and tags see, final all that it
	// sees with the variables of the rule.
	variables    []Variable
	scope, final *scope
	tooBig       string // a variable that grew beyond all bounds in an earlier scope
}

func (p *planner) decide(j *jobSpec, common *variableSet) *decision {
	job := new(j.Job)
	d := &decision{spec: j, job: job, index: -1}
	d.variables = mergeVariables(inheritVariables(p.root, j.inherited.variables), j.Variables)
	own, settings := setOf(d.variables), common
	d.scope = newScope(p.base, setOf(jobPredefined(job)), own, settings)
	if j.Environment != nil {
		e := *j.Environment
		e.Name = variable.Expand(e.Name, d.scope.expandedValue)
		e.URL = variable.Expand(e.URL, d.scope.expandedValue)
		job.Environment, settings, d.tooBig = &e, p.settings(e.Name), d.scope.tooBig
		d.scope = newScope(p.base, setOf(jobPredefined(job)), own, settings)
	}
	switch {
	case j.hasRules:
		p.decideByRules(d)
	default:
		p.decideByPolicy(d)
	}
	d.final = d.scope
	if d.rule != nil && len(d.rule.variables) > 0 {
		d.variables = mergeVariables(d.variables, d.rule.variables)
		d.final = newScope(d.scope.layers[0], d.scope.layers[1], setOf(d.variables), settings)
	}
	return d
}

func (p *planner) decideByRules(d *decision) {
	i, checks, err := p.match("rules", d.spec.rules, d.scope)
	d.checks = checks
	if err != nil {
		d.err, d.text = err, err.Error()
		return
	}
	if i < 0 {
		d.text = fmt.Sprintf("none of %d rules matched", len(d.spec.rules))
		return
	}
	d.index, d.rule = i, &d.spec.rules[i]
	d.included = p.when(d) != Never
	d.text = fmt.Sprintf("rules[%d] matched: %s", i, d.rule.summary)
}

func (p *planner) decideByPolicy(d *decision) {
	j := d.spec
	switch {
	case j.only != nil && !p.matchPolicy(d, j.only, allHold):
		d.text = "excluded by only"
		if j.only == &defaultOnly {
			d.text = "a job without rules is only for branches and tags"
		}
	case j.except != nil && p.matchPolicy(d, j.except, anyHolds):
		d.text = "excluded by except"
	default:
		d.included = true
		d.text = "no rule excludes it"
	}
}

// matchPolicy evaluates an only or except, and records the check.
func (p *planner) matchPolicy(d *decision, pol *policy, holds func([]bool) bool) bool {
	v := &view{scope: d.scope, mask: p.mask}
	matched := holds(pol.specs(&p.evaluator, v))
	check := Check{Keyword: pol.keyword, Text: pol.summary, Position: at(pol.node), Result: NotMatched, Variables: v.seen}
	if matched {
		check.Result = Matched
	}
	d.checks = append(d.checks, check)
	return matched
}

func (p *planner) when(d *decision) When {
	switch {
	case d.rule != nil && d.rule.when != "":
		return d.rule.when
	case d.spec.When != "":
		return d.spec.When
	}
	return OnSuccess
}

func inheritVariables(root []Variable, t inheritFilter) []Variable {
	if !t.named && !t.nothing {
		return root
	}
	var out []Variable
	for _, v := range root {
		if t.allows(v.Key) {
			out = append(out, v)
		}
	}
	return out
}
