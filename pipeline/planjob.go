package pipeline

import (
	"gitlab.com/slipway-ci/slipway/pipeline/internal/duration"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
)

// job completes the job of a decision: with what the rule says, and with what is expanded.
func (p *planner) job(d *decision) *Job {
	s, job := d.spec, d.job
	job.When, job.Variables = p.when(d), d.variables
	job.Decision = Decision{Rule: d.index, Text: d.text, Position: job.Source, Checks: d.checks}
	if s.hasNeeds {
		job.Needs = needList{jobs: s.needs.jobs, foreign: s.needs.foreign}.all()
	}
	if d.rule != nil {
		p.applyRule(job, d.rule)
	}
	job.Tags = nil
	for _, tag := range s.Tags {
		job.Tags = append(job.Tags, variable.ExpandKnown(tag, d.scope.value))
	}
	job.ResourceGroup = variable.Expand(s.ResourceGroup, d.final.expandedValue)
	if s.Environment != nil {
		e := *s.Environment
		e.Name = variable.Expand(e.Name, d.final.expandedValue)
		// What is not known yet may come from a dotenv report.
		e.URL = variable.ExpandKnown(e.URL, d.final.expandedValue)
		job.Environment = &e
	}
	return job
}

// all returns the needs of this pipeline, then those of others; not nil.
func (l needList) all() []Need {
	needs := make([]Need, 0, len(l.jobs)+len(l.foreign))
	for _, n := range l.jobs {
		needs = append(needs, n.Need)
	}
	for _, n := range l.foreign {
		needs = append(needs, n.Need)
	}
	return needs
}

// applyRule sets what the rule that matched says. GitLab ignores empty needs of a rule.
func (p *planner) applyRule(job *Job, r *rule) {
	job.Decision.Position = at(r.node)
	if r.changes != nil && !r.changes.hasCompareTo {
		_, known := p.modified()
		job.Decision.AssumedChanges = !known
	}
	if r.startIn != "" {
		job.StartInText = r.startIn
		job.StartIn, _ = duration.Parse(r.startIn)
	}
	if r.allowFailure != nil {
		job.AllowFailure = *r.allowFailure
		job.AllowFailureExitCodes, job.AllowFailureCriteria = nil, false
	}
	if r.interruptible != nil {
		job.Interruptible = r.interruptible
	}
	if len(r.needs) > 0 {
		job.Needs = needList{jobs: r.needs}.all()
	}
}
