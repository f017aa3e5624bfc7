package pipeline

import "gitlab.com/slipway-ci/slipway/internal/lazyregexp"

// skipPattern is what a commit message says to have no pipeline: https://docs.gitlab.com/ci/pipelines/#skip-a-pipeline
var skipPattern = lazyregexp.New(`(?i)\[(?:ci[ _-]skip|skip[ _-]ci)\]`)

// skipMark returns the mark in the commit message of a push or a merge request, which are skipped by it; "" if there is none.
// Pipelines that a person or a program requested run anyway.
func (e Event) skipMark() string {
	if e.Source != Push && e.Source != MergeRequest {
		return ""
	}
	return skipPattern().FindString(e.CommitMessage)
}

// skippedPlan is the plan of a pipeline that its commit message skips: GitLab makes it without a job, and does not even read
// the configuration.
func (p *Project) skippedPlan(event Event, mark string) *Plan {
	return &Plan{
		Event: event, Reason: "skip_ci",
		Decision:   Decision{Rule: -1, Text: "the commit message says " + mark},
		Predefined: predefined(p.options, event).list, Project: p.options.Variables, Run: event.Variables,
	}
}
