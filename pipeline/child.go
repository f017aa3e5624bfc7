package pipeline

import (
	"context"
	"errors"
	"fmt"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// maxChildDepth is how many levels of child pipelines GitLab allows.
const maxChildDepth = 2

// children compiles the child pipelines that the jobs of a plan start. One that is wrong fails its job only when that
// runs, so errors stay with the job.
func (p *planner) children(plan *Plan) {
	for _, job := range plan.Jobs {
		if job.Trigger == nil || job.Trigger.Include == nil {
			continue
		}
		trigger := *job.Trigger
		trigger.Child, trigger.ChildError = p.child(p.ctx, job, nil)
		if len(trigger.ArtifactJobs()) > 0 {
			trigger.generate = func(ctx context.Context, read ArtifactReader) (*Plan, error) { return p.child(ctx, job, read) }
		}
		job.Trigger = &trigger
	}
}

// errNotHere says nothing of what GitLab would do: the configuration was left out, or a part of it.
var errNotHere = errors.New("its configuration is not here")

// An ArtifactReader gives a file among the artifacts of a job.
type ArtifactReader func(job, path string) ([]byte, error)

// Generate compiles a child pipeline whose configuration, or a part of it, is an artifact of [TriggerSpec.ArtifactJobs], once
// these have run.
func (t *TriggerSpec) Generate(ctx context.Context, read ArtifactReader) (*Plan, error) {
	if t.generate == nil {
		return nil, errors.New("its configuration is not known any more")
	}
	return t.generate(ctx, read)
}

// child compiles a child pipeline; read is nil before there are artifacts.
func (p *planner) child(ctx context.Context, job *Job, read ArtifactReader) (*Plan, error) {
	if p.event.depth >= maxChildDepth {
		return nil, fmt.Errorf("more than %d levels of child pipelines", maxChildDepth)
	}
	include := job.Trigger.node.Get("include")
	for _, entry := range include.Flatten() {
		if artifact := entry.Get("artifact"); !artifact.IsNull() && read == nil {
			return nil, fmt.Errorf("%s is made by the job %s when the pipeline runs", artifact.RubyText(), entry.Get("job").RubyText())
		}
	}
	event := p.event
	event.Name = job.Name
	event.parent, event.Source, event.depth = p.event.root(), ParentPipeline, p.event.depth+1
	event.Inputs = nil
	event.Variables = p.forwarded(job)
	c := p.project.compiler(ctx, event)
	c.artifacts = read
	at := job.Trigger.node.Position
	tree := yamltree.NewMapping([]yamltree.Pair{{Key: yamltree.NewString("include", at), Value: include}}, at)
	plan, err := c.planTree(c.merge(tree, &file{name: at.File, repository: p.project.own}))
	var wrong Errors
	switch {
	case c.incomplete && (err != nil || !plan.Created):
		return nil, errNotHere
	case errors.As(err, &wrong):
		return nil, wrong
	}
	return plan, err
}

// forwarded are the variables that a child pipeline is given: those of the job's YAML unless it says otherwise, and those
// of this run only if it says so.
func (p *planner) forwarded(job *Job) []Variable {
	var forwarded []Variable
	if yes, said := job.Trigger.Forward["yaml_variables"]; yes || !said {
		scope := newScope(newVariableSet(p.base.list, job.Variables), p.settings(""))
		for _, v := range job.Variables {
			v.Value, _ = scope.expandedValue(v.Key)
			forwarded = append(forwarded, v)
		}
	}
	if job.Trigger.Forward["pipeline_variables"] {
		forwarded = mergeVariables(forwarded, p.event.Variables)
	}
	return forwarded
}
