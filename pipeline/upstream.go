package pipeline

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
)

// An UnmetNeed is a need of a job in a child pipeline for the artifacts of a pipeline above it (`needs:pipeline:job`) that cannot be met
// when the job starts: GitLab creates the pipelines, and the job fails.
type UnmetNeed struct {
	// Job is the job of the child pipeline, Need what it needs.
	Job  *Job
	Need Need
	// Trigger is the job of the needed pipeline that starts the child pipeline, or one between the two; Root is the one of the plan
	// that was asked.
	Trigger, Root *Job
	// Missing reports that the needed pipeline has no such job. Otherwise the trigger job can start before it has passed.
	Missing bool
}

// UnmetNeeds returns the needs in child pipelines that cannot be met.
func (p *Plan) UnmetNeeds() []UnmetNeed {
	return unmetNeeds([]level{{plan: p}})
}

// A level is a pipeline with the job of the one above it that starts it; the first level has no such job.
type level struct {
	plan    *Plan
	trigger *Job
}

func unmetNeeds(levels []level) []UnmetNeed {
	var unmet []UnmetNeed
	for _, job := range levels[len(levels)-1].plan.Jobs {
		for _, need := range job.Needs {
			if need.Pipeline == "" || need.Job == "" || !need.Artifacts || len(variable.Names(need.Job)) > 0 {
				continue
			}
			upstream := upstreamLevel(levels, need.Pipeline)
			if upstream < 0 {
				continue
			}
			plan, trigger := levels[upstream].plan, levels[upstream+1].trigger
			if missing := plan.Job(need.Job) == nil; missing || !plan.RunsAfter(trigger, need.Job) {
				unmet = append(unmet, UnmetNeed{Job: job, Need: need, Trigger: trigger, Root: levels[1].trigger, Missing: missing})
			}
		}
		if job.Trigger != nil && job.Trigger.Child != nil && job.Trigger.Child.Created {
			unmet = append(unmet, unmetNeeds(append(slices.Clip(levels), level{job.Trigger.Child, job}))...)
		}
	}
	return unmet
}

// upstreamLevel returns the index of the pipeline whose CI_PIPELINE_ID a text is, as far as the trigger jobs in between pass it on in their
// variables; -1 if it cannot be told.
func upstreamLevel(levels []level, text string) int {
	for i := len(levels) - 1; i > 0; i-- {
		names := variable.Names(text)
		if len(names) != 1 || text != "$"+names[0] && text != "${"+names[0]+"}" {
			return -1
		}
		trigger := levels[i].trigger
		if forwards, given := trigger.Trigger.Forward["yaml_variables"]; given && !forwards {
			return -1
		}
		v := slices.IndexFunc(trigger.Variables, func(v Variable) bool { return v.Key == names[0] })
		switch {
		case v >= 0:
			text = trigger.Variables[v].Value
		case names[0] == "CI_UPSTREAM_PIPELINE_ID":
			text = "$CI_PIPELINE_ID"
		default:
			return -1
		}
		if text == "$CI_PIPELINE_ID" || text == "${CI_PIPELINE_ID}" {
			return i - 1
		}
	}
	return -1
}
