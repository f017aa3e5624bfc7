package runner

import (
	"fmt"
	"strconv"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// newID returns the next number for a job or a child pipeline.
func (r *run) newID() int {
	r.state.LastID++
	return r.number*10_000 + r.state.LastID
}

// pipelineID returns CI_PIPELINE_ID of the run's own pipeline, which is the run's number, or of a child pipeline that has begun.
func (r *run) pipelineID(g *graph) int {
	if g.bridge == nil {
		return r.number
	}
	return g.bridge.state.ChildPipeline
}

// pipelineVariables returns the variables that a pipeline has once it has begun. The jobs that trigger others have them, too.
func (r *run) pipelineVariables(g *graph) []pipeline.Variable {
	id, created := strconv.Itoa(r.pipelineID(g)), r.state.Started
	var variables []pipeline.Variable
	set := func(key, value string) {
		variables = append(variables, pipeline.Variable{Key: key, Value: value})
	}
	if b := g.bridge; b != nil {
		created = b.state.Started
		set("CI_UPSTREAM_PIPELINE_ID", strconv.Itoa(r.pipelineID(b.graph)))
		set("CI_UPSTREAM_JOB_ID", strconv.Itoa(b.state.ID))
	}
	set("CI_PIPELINE_ID", id)
	set("CI_PIPELINE_IID", id)
	set("CI_PIPELINE_CREATED_AT", created.UTC().Format(time.RFC3339))
	if url := g.predefined("CI_PROJECT_URL"); url != "" {
		set("CI_PIPELINE_URL", url+"/-/pipelines/"+id)
	}
	set("CI_COMMIT_SHA", r.definition.Sources.Commit)
	set("CI_COMMIT_SHORT_SHA", r.definition.Sources.Commit[:8])
	return variables
}

// predefined returns the value of a variable that GitLab sets, even if a job's configuration overrides it.
func (g *graph) predefined(name string) string {
	for _, v := range g.plan.Predefined {
		if v.Key == name {
			return v.Value
		}
	}
	return ""
}

// A dependencyError is a job of another pipeline that a job needs and that has not passed.
type dependencyError struct{ need pipeline.Need }

func (e *dependencyError) Error() string {
	return fmt.Sprintf("needs:pipeline:job: no job %q has passed in the pipeline %q: it must be a parent or child pipeline of this run, such as $CI_PIPELINE_ID of the trigger job",
		e.need.Job, e.need.Pipeline)
}

// fromOtherPipelines returns the jobs of the run's other pipelines whose artifacts a job fetches (`needs:pipeline:job`). As on GitLab, the
// job does not wait for them: it fails if one has not passed.
func (r *run) fromOtherPipelines(n *node) ([]JobState, error) {
	var sources []JobState
	var variables map[string]string
	for _, need := range n.job.Needs {
		if need.Pipeline == "" || need.Job == "" || !need.Artifacts {
			continue
		}
		if variables == nil {
			variables = map[string]string{}
			for _, v := range n.graph.plan.Environment(n.job, nil, r.pipelineVariables(n.graph)) {
				variables[v.Key] = v.Value
			}
		}
		need.Pipeline, need.Job = expand(need.Pipeline, variables), expand(need.Job, variables)
		source := r.passed(n.graph, need)
		if source == nil {
			return nil, &dependencyError{need}
		}
		sources = append(sources, *source)
	}
	return sources, nil
}

// passed returns the needed job of a pipeline other than g if it has passed, otherwise nil.
func (r *run) passed(g *graph, need pipeline.Need) *JobState {
	for _, n := range r.nodes {
		if n.graph != g && n.graph.begun && n.job.Name == need.Job && strconv.Itoa(r.pipelineID(n.graph)) == need.Pipeline && n.state.Status == Success {
			return n.state
		}
	}
	return nil
}
