package pipeline

// job makes the plan's job of a decision.
func (p *planner) job(d *decision) *Job {
	s := d.spec
	job := &Job{
		Name: s.name, BaseName: s.base, Stage: s.stage, When: p.when(d), StartIn: s.startIn, StartInText: s.startInText,
		AllowFailure: s.ignored, AllowFailureExitCodes: s.exitCodes, Dependencies: s.dependencies,
		Interruptible: s.interruptible, Retry: s.retry, Timeout: s.timeout,
		Parallel: s.instance.total, Instance: s.instance.number,
		Image: s.image, Services: s.services, Variables: d.variables,
		Script: s.script, BeforeScript: s.beforeScript, AfterScript: s.afterScript,
		Cache: s.cache, Artifacts: s.artifacts, Trigger: s.trigger, ManualConfirmation: s.confirmation, Coverage: s.coverage,
		Release: s.release, Hooks: s.hooks, IDTokens: s.idTokens, Secrets: s.secrets, Pages: s.pages,
		Run: s.run, Identity: s.identity,
		Source: at(s.key), Decision: Decision{Rule: d.index, Text: d.text, Position: at(s.key), Checks: d.checks},
		AllowFailureCriteria: s.hasExitCodes, Keywords: s.keywords,
	}
	if s.hasNeeds {
		job.Needs = needList{jobs: s.needs.jobs, foreign: s.needs.foreign}.all()
	}
	if d.rule != nil {
		p.applyRule(job, d.rule)
	}
	for _, tag := range s.tags {
		job.Tags = append(job.Tags, expandExisting(tag, d.scope.value))
	}
	job.ResourceGroup = expandVariables(s.resourceGroup, d.final.expandedValue)
	if s.environment != nil {
		e := *s.environment
		e.Name = expandVariables(e.Name, d.final.expandedValue)
		// What is not known yet may come from a dotenv report.
		e.URL = expandExisting(e.URL, d.final.expandedValue)
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
		job.StartIn, _ = parseDuration(r.startIn)
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
