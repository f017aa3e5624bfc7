package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// maxChildDepth is how many levels of child pipelines GitLab allows.
const maxChildDepth = 2

// children compiles the child pipelines that the jobs of a plan start. One that is wrong fails its job only when that
// runs, so errors stay with the job. triggers are the keywords of the jobs as written.
func (p *Project) children(ctx context.Context, plan *Plan, triggers map[*Job]*node) {
	for _, job := range plan.Jobs {
		if job.Trigger == nil || job.Trigger.Include == nil {
			continue
		}
		trigger := *job.Trigger
		child, err := p.child(ctx, plan, job, triggers[job].Get("include"), nil)
		trigger.set(child, err)
		job.Trigger = &trigger
	}
}

func (t *TriggerSpec) set(child *Plan, err error) {
	t.Child, t.ChildErrors, t.ChildUnknown = child, nil, ""
	if err != nil && !errors.As(err, &t.ChildErrors) {
		t.ChildUnknown = err.Error()
	}
}

// errSkipped is the error of a configuration that was skipped, as a whole or in part; it says nothing about GitLab.
var errSkipped = errors.New("its configuration is not available here")

// An ArtifactReader returns a file among the artifacts of a job.
type ArtifactReader func(job, path string) ([]byte, error)

// ChildPlan compiles a child pipeline whose configuration, or a part of it, is an artifact of [TriggerSpec.ArtifactJobs], once
// these have run. job is a job of the plan that triggers it; the result is its trigger with the child pipeline, or with the
// reason why there is none.
func (p *Project) ChildPlan(ctx context.Context, plan *Plan, job *Job, read ArtifactReader) (*TriggerSpec, error) {
	at := job.Position("trigger", "include")
	include, err := yamltree.FromAny(job.Trigger.Include, yamltree.Position(at))
	if err != nil {
		return nil, err
	}
	trigger := *job.Trigger
	child, err := p.child(ctx, plan, job, include, read)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	trigger.set(child, err)
	return &trigger, nil
}

// child compiles a child pipeline; read is nil before there are artifacts.
func (p *Project) child(ctx context.Context, parent *Plan, job *Job, include *node, read ArtifactReader) (*Plan, error) {
	if parent.Event.Depth >= maxChildDepth {
		return nil, fmt.Errorf("more than %d levels of child pipelines", maxChildDepth)
	}
	for _, entry := range include.Flatten() {
		if artifact := entry.Get("artifact"); !artifact.IsNull() && read == nil {
			return nil, fmt.Errorf("the job %s makes %s when the pipeline runs", entry.Get("job").RubyText(), artifact.RubyText())
		}
	}
	event := parent.Event
	event.Name = job.Name
	event.RootSource, event.Source, event.Depth = parent.Event.root(), ParentPipeline, parent.Event.Depth+1
	event.Inputs = nil
	event.Variables = parent.forwarded(job)
	c := p.compiler(ctx, event)
	c.artifacts = read
	at := include.Position
	tree := yamltree.NewMapping([]yamltree.Pair{{Key: yamltree.NewString("include", at), Value: include}}, at)
	plan, err := c.plan(c.merged(c.merge(tree, &file{name: at.File, repository: p.own})))
	var wrong Errors
	switch {
	case c.result.incomplete && (err != nil || !plan.Created):
		return nil, errSkipped
	case errors.As(err, &wrong):
		return nil, wrong
	}
	return plan, err
}

// persisted returns stand-ins for the variables that a pipeline has once it is created: too late for its own rules, but not for what its
// trigger jobs forward. The runner replaces them.
func persisted(predefined []Variable) []Variable {
	p := make(predefinedVariables, 0, 2)
	p.add("CI_PIPELINE_ID", "1")
	if i := slices.IndexFunc(predefined, func(v Variable) bool { return v.Key == "CI_PROJECT_URL" }); i >= 0 {
		p.add("CI_PIPELINE_URL", predefined[i].Value+"/-/pipelines/1")
	}
	return p
}

// forwarded returns the variables that a child pipeline is given: those of the job's YAML unless it says otherwise, and those
// of this run only if it forwards them.
func (p *Plan) forwarded(job *Job) []Variable {
	var forwarded []Variable
	if yes, given := job.Trigger.Forward["yaml_variables"]; yes || !given {
		settings := newVariableSet(visibleVariables(p.Project, "", p.Event.RefProtected), visibleVariables(p.Run, "", p.Event.RefProtected))
		scope := newScope(newVariableSet(p.Predefined, persisted(p.Predefined), job.Variables), settings)
		for _, v := range job.Variables {
			v.Value, _ = scope.expandedValue(v.Key)
			forwarded = append(forwarded, v)
		}
	}
	if job.Trigger.Forward["pipeline_variables"] {
		forwarded = mergeVariables(forwarded, p.Run)
	}
	return forwarded
}
