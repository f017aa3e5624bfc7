package runner

import (
	"fmt"
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// Select reduces a plan to the named jobs and what they need, directly or not: the jobs in `needs`, or all jobs of earlier stages.
// No names select all.
func Select(plan *pipeline.Plan, names []string) (*pipeline.Plan, error) {
	return selectJobs(plan, names, true)
}

// SelectOnly reduces a plan to the named jobs. No names select all.
func SelectOnly(plan *pipeline.Plan, names []string) (*pipeline.Plan, error) {
	return selectJobs(plan, names, false)
}

func selectJobs(plan *pipeline.Plan, names []string, needs bool) (*pipeline.Plan, error) {
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
			if !needs {
				continue
			}
			if job.Needs == nil {
				for _, earlier := range earlierJobs(plan, job.Stage) {
					want(earlier)
				}
			}
			for _, need := range job.Needs {
				if need.Project == "" && need.Pipeline == "" {
					want(need.Job)
				}
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

// earlierJobs returns the names of the jobs of the stages before one.
func earlierJobs(plan *pipeline.Plan, stage string) []string {
	position := slices.Index(plan.Stages, stage)
	var names []string
	for _, job := range plan.Jobs {
		if slices.Index(plan.Stages, job.Stage) < position {
			names = append(names, job.Name)
		}
	}
	return names
}
