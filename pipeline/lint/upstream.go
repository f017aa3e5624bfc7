package lint

import (
	"fmt"
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
)

// A level is a pipeline with the job of the one above it that starts it; the first level has no such job.
type level struct {
	plan    *pipeline.Plan
	trigger *pipeline.Job
}

// checkUpstreamNeeds looks at the jobs of parent pipelines that the jobs of child pipelines take artifacts from (`needs:pipeline:job`).
// GitLab looks for them only when the job starts, which then fails.
func (p *pass) checkUpstreamNeeds(levels []level) {
	for _, job := range levels[len(levels)-1].plan.Jobs {
		for _, need := range job.Needs {
			if need.Pipeline != "" && need.Job != "" && need.Artifacts && len(variable.Names(need.Job)) == 0 {
				p.checkUpstreamNeed(levels, job, need)
			}
		}
		if job.Trigger != nil && job.Trigger.Child != nil && job.Trigger.Child.Created {
			p.checkUpstreamNeeds(append(slices.Clip(levels), level{job.Trigger.Child, job}))
		}
	}
}

func (p *pass) checkUpstreamNeed(levels []level, job *pipeline.Job, need pipeline.Need) {
	upstream := upstreamLevel(levels, need.Pipeline)
	if upstream < 0 {
		return
	}
	plan, trigger := levels[upstream].plan, levels[upstream+1].trigger
	at, path := p.place(job, "needs")
	finding := Finding{Position: at, Path: path}
	needed := plan.Job(need.Job)
	switch {
	case needed == nil:
		finding.Message = fmt.Sprintf("in the child pipeline of %s: the pipeline that starts it has no job %q", trigger.BaseName, need.Job)
		finding.Hint = fmt.Sprintf("%s fails without its artifacts: name a job that has the same rules as %s", job.BaseName, trigger.BaseName)
	case !plan.RunsAfter(trigger, needed.Name):
		finding.Message = fmt.Sprintf("in the child pipeline of %s: it can start before %s has passed", trigger.BaseName, need.Job)
		finding.Hint = fmt.Sprintf("%s does not wait for other pipelines: let %s need %s, or put it into a later stage", job.BaseName, trigger.BaseName, need.Job)
	default:
		return
	}
	p.report(finding)
}

// upstreamLevel returns the index of the pipeline whose CI_PIPELINE_ID a text is, as far as the trigger jobs in between pass it on in their
// variables; -1 if it cannot be told.
func upstreamLevel(levels []level, text string) int {
	for i := len(levels) - 1; i > 0; i-- {
		names := variable.Names(text)
		if len(names) != 1 {
			return -1
		}
		own := levels[i].trigger.Variables
		v := slices.IndexFunc(own, func(v pipeline.Variable) bool { return v.Key == names[0] })
		if v < 0 {
			return -1
		}
		if text = own[v].Value; text == "$CI_PIPELINE_ID" || text == "${CI_PIPELINE_ID}" {
			return i - 1
		}
	}
	return -1
}
