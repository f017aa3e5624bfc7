package runner

import (
	"fmt"
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// Select reduces a plan to the named jobs and what they need, directly or not. Of jobs that wait for earlier stages
// instead, the stages are left out: the person who names a job knows what it takes. No names select all.
func Select(plan *pipeline.Plan, names []string) (*pipeline.Plan, error) {
	if len(names) == 0 {
		return plan, nil
	}
	byName := map[string][]*pipeline.Job{}
	for _, job := range plan.Jobs {
		byName[job.Name] = append(byName[job.Name], job)
		if job.BaseName != job.Name {
			byName[job.BaseName] = append(byName[job.BaseName], job)
		}
	}
	wanted := map[string]bool{}
	var want func(name string)
	want = func(name string) {
		for _, job := range byName[name] {
			if wanted[job.Name] {
				continue
			}
			wanted[job.Name] = true
			for _, need := range job.Needs {
				want(need.Job)
			}
			for _, dependency := range slices.Concat(job.Dependencies, job.Trigger.ArtifactJobs()) {
				want(dependency)
			}
		}
	}
	for _, name := range names {
		if len(byName[name]) == 0 {
			return nil, fmt.Errorf("this event's pipeline has no job %q: `slipway plan` lists its jobs", name)
		}
		want(name)
	}
	selected := *plan
	selected.Jobs, selected.Stages = nil, nil
	for _, job := range plan.Jobs {
		if wanted[job.Name] {
			selected.Jobs = append(selected.Jobs, job)
		}
	}
	for _, stage := range plan.Stages {
		for _, job := range selected.Jobs {
			if job.Stage == stage {
				selected.Stages = append(selected.Stages, stage)
				break
			}
		}
	}
	return &selected, nil
}
