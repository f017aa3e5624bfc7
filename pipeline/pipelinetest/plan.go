package pipelinetest

import (
	"slices"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// A Plan is the pipeline of an event. Its methods return it, so that claims can be chained.
type Plan struct {
	t     testing.TB
	event Event
	// plan is nil if the configuration was refused; that has failed the test, and what follows is not checked.
	plan *pipeline.Plan
}

// Plan is the compiled pipeline, for checks that this package does not have; nil if the configuration was refused.
func (p *Plan) Plan() *pipeline.Plan { return p.plan }

// IsCreated checks that there is a pipeline.
func (p *Plan) IsCreated() *Plan {
	p.t.Helper()
	if p.plan != nil && !p.plan.Created {
		p.t.Errorf("on %s: there is no pipeline: %s", p.event, notCreated(p.plan))
	}
	return p
}

// IsNotCreated checks that there is no pipeline.
func (p *Plan) IsNotCreated() *Plan {
	p.t.Helper()
	if p.plan != nil && p.plan.Created {
		p.t.Errorf("on %s: there is a pipeline, with %s", p.event, strings.Join(names(p.plan.Jobs), ", "))
	}
	return p
}

// HasJob checks that a job is created, by its name or, for matrix jobs, by its name in the configuration.
func (p *Plan) HasJob(name string) *Plan {
	p.t.Helper()
	p.Job(name)
	return p
}

// HasJobs checks that the jobs are exactly these, in any order.
func (p *Plan) HasJobs(want ...string) *Plan {
	p.t.Helper()
	if p.plan == nil {
		return p
	}
	got := names(p.plan.Jobs)
	for _, name := range want {
		if !slices.Contains(got, name) {
			p.t.Errorf("on %s: %s", p.event, p.missing(name))
		}
	}
	for _, job := range p.plan.Jobs {
		if !slices.Contains(want, job.Name) {
			p.t.Errorf("on %s: %s is created, too: %s", p.event, job.Name, because(job))
		}
	}
	return p
}

// HasNoJob checks that a job is not created.
func (p *Plan) HasNoJob(name string) *Plan {
	p.t.Helper()
	if job := p.find(name); job != nil {
		p.t.Errorf("on %s: there is a job %s: %s", p.event, job.Name, because(job))
	}
	return p
}

// HasStages checks the stages that have jobs, in order.
func (p *Plan) HasStages(want ...string) *Plan {
	p.t.Helper()
	if p.plan != nil && !slices.Equal(p.plan.Stages, want) {
		p.t.Errorf("on %s: the stages are %s, want %s", p.event, strings.Join(p.plan.Stages, ", "), strings.Join(want, ", "))
	}
	return p
}

// IsNamed checks `workflow:name`, expanded.
func (p *Plan) IsNamed(want string) *Plan {
	p.t.Helper()
	if p.plan != nil && p.plan.Name != want {
		p.t.Errorf("on %s: the pipeline is named %q, want %q", p.event, p.plan.Name, want)
	}
	return p
}

// Job returns a job for further claims, by its name or by its name in the configuration (then the first of a matrix). If it
// is not there, the test has failed, and what is claimed of it is not checked.
func (p *Plan) Job(name string) *Job {
	p.t.Helper()
	job := p.find(name)
	if job == nil && p.plan != nil {
		p.t.Errorf("on %s: %s", p.event, p.missing(name))
	}
	return &Job{t: p.t, plan: p, job: job}
}

func (p *Plan) find(name string) *pipeline.Job {
	if p.plan == nil {
		return nil
	}
	if job := p.plan.Job(name); job != nil {
		return job
	}
	for _, job := range p.plan.Jobs {
		if job.BaseName == name {
			return job
		}
	}
	return nil
}

// missing says why a job is not there.
func (p *Plan) missing(name string) string {
	why := ""
	for _, job := range p.plan.Dropped {
		if job.Name == name || job.BaseName == name {
			why = "there is no job " + name + ": " + because(job)
		}
	}
	switch {
	case !p.plan.Created:
		return "there is no job " + name + ", since there is no pipeline: " + notCreated(p.plan)
	case why != "":
		return why
	default:
		known := append(names(p.plan.Jobs), names(p.plan.Dropped)...)
		return "the configuration has no job " + name + "; it has " + strings.Join(known, ", ")
	}
}

func notCreated(plan *pipeline.Plan) string {
	if plan.Reason == "workflow" {
		return plan.Decision.Text + place(plan.Decision.Position)
	}
	return render.NotCreated(plan.Reason)
}

func because(job *pipeline.Job) string {
	return job.Decision.Text + place(job.Decision.Position)
}

func names(jobs []*pipeline.Job) []string {
	list := make([]string, len(jobs))
	for i, job := range jobs {
		list[i] = job.Name
	}
	return list
}
