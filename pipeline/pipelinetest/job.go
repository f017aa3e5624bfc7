package pipelinetest

import (
	"slices"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// A Job is a job of a pipeline. Its methods return it, so that claims can be chained.
type Job struct {
	t    testing.TB
	plan *Plan
	// job is nil if it is not there; that has failed the test, and what follows is not checked.
	job *pipeline.Job
}

// Job is the compiled job, for checks that this package does not have; nil if it does not exist.
func (j *Job) Job() *pipeline.Job { return j.job }

// IsManual checks that a person must start the job.
func (j *Job) IsManual() *Job {
	j.t.Helper()
	return j.Starts(pipeline.Manual)
}

// IsAutomatic checks that the job starts automatically when what it waits for has succeeded.
func (j *Job) IsAutomatic() *Job {
	j.t.Helper()
	return j.Starts(pipeline.OnSuccess)
}

// Starts checks `when`.
func (j *Job) Starts(want pipeline.When) *Job {
	j.t.Helper()
	return j.check(j.job == nil || j.job.When == want, "starts %s, want %s: %s", func() []any {
		return []any{j.job.When, want, because(j.job)}
	})
}

// Blocks checks that the pipeline does not succeed without this job: it may not fail, and, if it is manual, the pipeline
// waits for it.
func (j *Job) Blocks() *Job {
	j.t.Helper()
	return j.check(j.job == nil || !mayFail(j.job), "does not block the pipeline: it may fail, or be left alone: %s", func() []any {
		return []any{because(j.job)}
	})
}

// MayFail checks that the pipeline can succeed although this job has failed, or was never started.
func (j *Job) MayFail() *Job {
	j.t.Helper()
	return j.check(j.job == nil || mayFail(j.job), "blocks the pipeline, want allow_failure: %s", func() []any {
		return []any{because(j.job)}
	})
}

func mayFail(job *pipeline.Job) bool { return job.AllowFailure || len(job.AllowFailureExitCodes) > 0 }

// Needs checks that the job's `needs` name all of these jobs; a matrix job can be named as in the configuration.
func (j *Job) Needs(jobs ...string) *Job {
	j.t.Helper()
	for _, name := range jobs {
		j.check(j.job == nil || j.needs(name), "does not need %s; it needs %s", func() []any {
			return []any{name, j.listNeeds()}
		})
	}
	return j
}

// DoesNotNeed checks that the job's `needs` name none of these jobs.
func (j *Job) DoesNotNeed(jobs ...string) *Job {
	j.t.Helper()
	for _, name := range jobs {
		j.check(j.job == nil || !j.needs(name), "needs %s", func() []any { return []any{name} })
	}
	return j
}

// RunsAfter checks that the job cannot start before another has ended, through `needs` or through stages.
func (j *Job) RunsAfter(name string) *Job {
	j.t.Helper()
	if j.job == nil || j.plan.Job(name).job == nil {
		return j
	}
	return j.check(j.plan.plan.RunsAfter(j.job, name), "can start before %s has ended; it needs %s", func() []any {
		return []any{name, j.listNeeds()}
	})
}

// StartsImmediately checks that the job waits for no other.
func (j *Job) StartsImmediately() *Job {
	j.t.Helper()
	return j.check(j.job == nil || len(j.plan.plan.Waits(j.job)) == 0, "waits for %s", func() []any {
		return []any{strings.Join(j.plan.plan.Waits(j.job), ", ")}
	})
}

// IsInStage checks the job's stage.
func (j *Job) IsInStage(want string) *Job {
	j.t.Helper()
	return j.check(j.job == nil || j.job.Stage == want, "is in stage %s, want %s", func() []any {
		return []any{j.job.Stage, want}
	})
}

// DeploysTo checks the name of the environment, expanded.
func (j *Job) DeploysTo(environment string) *Job {
	j.t.Helper()
	return j.check(j.job == nil || j.job.Environment != nil && j.job.Environment.Name == environment,
		"deploys to %s, want %s", func() []any {
			if j.job.Environment == nil {
				return []any{"no environment", environment}
			}
			return []any{j.job.Environment.Name, environment}
		})
}

// IsOneAtATimeIn checks the resource group, expanded.
func (j *Job) IsOneAtATimeIn(group string) *Job {
	j.t.Helper()
	return j.check(j.job == nil || j.job.ResourceGroup == group, "has the resource group %q, want %q", func() []any {
		return []any{j.job.ResourceGroup, group}
	})
}

// HasVariable checks a YAML variable of the job, not expanded.
func (j *Job) HasVariable(key, want string) *Job {
	j.t.Helper()
	if j.job == nil {
		return j
	}
	i := slices.IndexFunc(j.job.Variables, func(v pipeline.Variable) bool { return v.Key == key })
	if i < 0 {
		return j.check(false, "has no variable %s", func() []any { return []any{key} })
	}
	return j.check(j.job.Variables[i].Value == want, "has %s=%q, want %q", func() []any {
		return []any{key, j.job.Variables[i].Value, want}
	})
}

// HasNoVariable checks that no YAML variable of that name reaches the job.
func (j *Job) HasNoVariable(key string) *Job {
	j.t.Helper()
	if j.job == nil {
		return j
	}
	i := slices.IndexFunc(j.job.Variables, func(v pipeline.Variable) bool { return v.Key == key })
	return j.check(i < 0, "has %s=%q, want it absent", func() []any { return []any{key, j.job.Variables[i].Value} })
}

// HasImage checks the name of the image, not expanded.
func (j *Job) HasImage(want string) *Job {
	j.t.Helper()
	return j.check(j.job == nil || j.job.Image != nil && j.job.Image.Name == want, "has the image %q, want %q", func() []any {
		if j.job.Image == nil {
			return []any{"", want}
		}
		return []any{j.job.Image.Name, want}
	})
}

// Runs checks that a command in before_script or script contains this text.
func (j *Job) Runs(text string) *Job {
	j.t.Helper()
	return j.check(j.job == nil || j.runs(text), "does not run %q; its script is:\n%s", func() []any {
		return []any{text, strings.Join(slices.Concat(j.job.BeforeScript, j.job.Script), "\n")}
	})
}

// DoesNotRun checks that no command in before_script or script contains this text.
func (j *Job) DoesNotRun(text string) *Job {
	j.t.Helper()
	return j.check(j.job == nil || !j.runs(text), "runs %q", func() []any { return []any{text} })
}

// check fails the test, with the event and the job before the message. The arguments are made only then: there may be no job.
func (j *Job) check(ok bool, message string, args func() []any) *Job {
	j.t.Helper()
	if !ok {
		j.t.Errorf("on %s: job %s "+message, append([]any{j.plan.event, j.job.Name}, args()...)...)
	}
	return j
}

func (j *Job) runs(text string) bool {
	return slices.ContainsFunc(slices.Concat(j.job.BeforeScript, j.job.Script), func(line string) bool {
		return strings.Contains(line, text)
	})
}

func (j *Job) needs(name string) bool {
	return slices.ContainsFunc(j.job.Needs, func(need pipeline.Need) bool {
		if need.Job == name {
			return true
		}
		needed := j.plan.plan.Job(need.Job)
		return needed != nil && needed.BaseName == name
	})
}

func (j *Job) listNeeds() string {
	if len(j.job.Needs) == 0 {
		return "nothing"
	}
	list := make([]string, len(j.job.Needs))
	for i, need := range j.job.Needs {
		list[i] = need.Job
	}
	return strings.Join(list, ", ")
}
