package lint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// mergeRequests returns the pipelines of merge requests.
func (p *pass) mergeRequests() []*pipeline.Plan {
	var plans []*pipeline.Plan
	for _, plan := range p.plans {
		if plan.Event.Source == pipeline.MergeRequest && plan.Created {
			plans = append(plans, plan)
		}
	}
	return plans
}

// eachJob visits the jobs of an event's pipeline and of its child pipelines, those that are left out too.
func eachJob(plan *pipeline.Plan, visit func(job *pipeline.Job, created bool)) {
	for _, job := range plan.Jobs {
		visit(job, true)
		if job.Trigger != nil && job.Trigger.Child != nil {
			eachJob(job.Trigger.Child, visit)
		}
	}
	for _, job := range plan.Dropped {
		visit(job, false)
	}
}

// distinctJobs returns the jobs of the plans and of their child pipelines, each as the first event that has it makes it.
func distinctJobs(plans []*pipeline.Plan) []*pipeline.Job {
	type identity struct {
		name   string
		source pipeline.Position
	}
	var jobs []*pipeline.Job
	seen := map[identity]bool{}
	for _, plan := range plans {
		eachJob(plan, func(job *pipeline.Job, created bool) {
			if id := (identity{job.BaseName, job.Source}); created && !seen[id] {
				seen[id] = true
				jobs = append(jobs, job)
			}
		})
	}
	return jobs
}

// place returns where a keyword of a job is written and its key path. If it is not written, or in a file of another project,
// that is the job.
func (p *pass) place(job *pipeline.Job, keys ...string) (pipeline.Position, string) {
	if at, path := p.ownPlace(job, keys...); at.File != "" {
		return at, path
	}
	return job.Source, jobPath(job.BaseName, keys)
}

// ownPlace is like place, but the position is zero if the keyword is written in a file of another project, or nowhere.
func (p *pass) ownPlace(job *pipeline.Job, keys ...string) (pipeline.Position, string) {
	at := job.Position(keys...)
	s := p.source(at.File)
	if s == nil {
		return pipeline.Position{}, ""
	}
	if owner := s.entryAt(at.Line); owner != "" && owner != job.BaseName {
		if slices.Contains(globals, owner) {
			return at, strings.Join(append([]string{owner}, keys[min(1, len(keys)):]...), ":")
		}
		return at, jobPath(owner, keys)
	}
	return at, jobPath(job.BaseName, keys)
}

// written returns where a keyword of a job is written, its key path and its text; nothing if it is no text of one of the project's files.
func (p *pass) written(job *pipeline.Job, keys ...string) (at pipeline.Position, path, text string) {
	at, path = p.ownPlace(job, keys...)
	if s := p.source(at.File); s != nil {
		if n := valueAt(s.body, at); n != nil && n.Kind == yaml.ScalarNode {
			text = n.Value
		}
	}
	return at, path, text
}

func jobPath(name string, keys []string) string {
	return strings.Join(append([]string{"jobs", name}, keys...), ":")
}

// leftOut visits the jobs that a merge request pipeline leaves out although the pipeline of the same push to its branch has them:
// the change gets two pipelines, each with a part of the jobs.
func (p *pass) leftOut(visit func(plan *pipeline.Plan, job *pipeline.Job)) {
	if p.branchWithMergeRequest == nil {
		return
	}
	for _, plan := range p.mergeRequests() {
		for _, job := range plan.Dropped {
			if p.branchWithMergeRequest.Job(job.Name) != nil {
				visit(plan, job)
			}
		}
	}
}

func isWritten(at pipeline.Position) bool { return at.File != "" }

func checkJobWithoutRules(p *pass) {
	p.leftOut(func(_ *pipeline.Plan, job *pipeline.Job) {
		if isWritten(job.Position("rules")) || isWritten(job.Position("only")) || isWritten(job.Position("except")) {
			return
		}
		p.report(Finding{
			Position: job.Source, Path: "jobs:" + job.BaseName,
			Message: "merge request pipelines leave out this job, because it has no rules; they have other jobs",
			Hint:    "add `rules` to the job, or `workflow:rules` for the whole pipeline",
		})
	})
}

func checkMixedRulesAndOnly(p *pass) {
	var names []string
	p.leftOut(func(plan *pipeline.Plan, job *pipeline.Job) {
		limited := isWritten(job.Position("only")) || isWritten(job.Position("except"))
		if limited && !slices.Contains(names, job.BaseName) &&
			slices.ContainsFunc(plan.Jobs, func(j *pipeline.Job) bool { return isWritten(j.Position("rules")) }) {
			names = append(names, job.BaseName)
		}
	})
	if len(names) == 0 {
		return
	}
	p.report(Finding{
		Position: p.topOfConfig(), Path: "jobs",
		Message: fmt.Sprintf("merge request pipelines have only the jobs with `rules`; `only` and `except` leave out %s", list(names)),
		Hint:    "write the conditions of all jobs as `rules`",
	})
}

// withoutDiff names the kind of an event for which GitLab has no diff. Pipelines that are started on request (web, api, trigger)
// are expected to run everything and have no name.
func withoutDiff(event pipeline.Event) string {
	switch {
	case event.Source == pipeline.Schedule:
		return "schedules"
	case event.Source != pipeline.Push:
		return ""
	case event.Tag != "":
		return "tags"
	case event.NewBranch:
		return "new branches"
	}
	return ""
}

// checkChangesAlwaysTrue reports rules that decided on a job of a pipeline without a diff. Rules that only schedules meet beside
// branches are not reported: those pipelines are started on purpose, and most projects have none.
func checkChangesAlwaysTrue(p *pass) {
	type use struct {
		job   *pipeline.Job
		kinds []string
	}
	var order []pipeline.Position
	uses := map[pipeline.Position]*use{}
	for _, plan := range p.plans {
		kind := withoutDiff(plan.Event)
		if kind == "" {
			continue
		}
		eachJob(plan, func(job *pipeline.Job, _ bool) {
			if !job.Decision.AssumedChanges {
				return
			}
			at := job.Decision.Position
			if uses[at] == nil {
				uses[at] = &use{job: job}
				order = append(order, at)
			}
			u := uses[at]
			if !slices.Contains(u.kinds, kind) {
				u.kinds = append(u.kinds, kind)
			}
		})
	}
	for _, at := range order {
		u := uses[at]
		slices.Sort(u.kinds)
		if slices.Equal(u.kinds, []string{"schedules"}) && !strings.Contains(u.job.Decision.Text, "schedule") {
			continue
		}
		p.report(Finding{
			Position: at, Path: p.pathAt(at, u.job) + ":rules:changes",
			Message: fmt.Sprintf("`changes` is always true for %s, which have no diff", enumerate(u.kinds)),
			Hint:    "add `compare_to:` with the default branch, or an `if` that excludes these pipelines",
		})
	}
}

// pathAt returns the key path of the job that stands at a position; job is the one that uses it.
func (p *pass) pathAt(at pipeline.Position, job *pipeline.Job) string {
	name := job.BaseName
	if s := p.source(at.File); s != nil {
		name = cmp.Or(s.entryAt(at.Line), name)
	}
	return "jobs:" + name
}

// blockingRules returns the places of the rules that make a manual job block merge request pipelines, with the jobs.
func (p *pass) blockingRules() (order []pipeline.Position, jobs map[pipeline.Position]*pipeline.Job) {
	jobs = map[pipeline.Position]*pipeline.Job{}
	for _, plan := range p.mergeRequests() {
		for _, job := range plan.Jobs {
			if job.When != pipeline.Manual || job.AllowFailure {
				continue
			}
			at := job.Decision.Position
			if at.File == "" {
				at = job.Source
			}
			if jobs[at] == nil {
				jobs[at] = job
				order = append(order, at)
			}
		}
	}
	return order, jobs
}

func checkBlockingManual(p *pass) {
	order, jobs := p.blockingRules()
	for _, at := range order {
		p.report(Finding{
			Position: at, Path: p.pathAt(at, jobs[at]),
			Message: "this manual job blocks merge request pipelines until someone starts it",
			Hint:    "add `allow_failure: true`, or exclude merge request pipelines; if it should block: # slipway:disable=blocking-manual-in-merge-request",
		})
	}
}

func checkChildPipelines(p *pass) {
	for _, plan := range p.plans {
		eachJob(plan, func(job *pipeline.Job, _ bool) {
			var invalid pipeline.Errors
			if job.Trigger != nil && errors.As(job.Trigger.ChildError(), &invalid) {
				for _, e := range invalid {
					p.reportChild(job, e)
				}
			}
		})
	}
	for _, plan := range p.plans {
		p.checkUpstreamNeeds(plan)
	}
	empty := p.emptyChildren()
	for _, job := range p.distinct {
		child, ok := empty[job.Source]
		if !ok {
			continue
		}
		at, path := p.place(job, "trigger")
		p.report(Finding{
			Position: at, Path: path, Events: child.events,
			Message: fmt.Sprintf("the child pipeline of %s has no jobs", child.job),
			Hint:    "give the trigger job the rules of the child's jobs; in the child, $CI_PIPELINE_SOURCE is parent_pipeline",
		})
	}
}

// An emptyChild is a child pipeline without jobs: the first job that starts it, and the events on which it does.
type emptyChild struct {
	job    string
	events []string
}

// emptyChildren returns the child pipelines without jobs by the places of the jobs that start them.
func (p *pass) emptyChildren() map[pipeline.Position]emptyChild {
	empty := map[pipeline.Position]emptyChild{}
	for _, plan := range p.plans {
		eachJob(plan, func(job *pipeline.Job, _ bool) {
			if job.Trigger == nil || job.Trigger.Child == nil || job.Trigger.Child.Created {
				return
			}
			child := empty[job.Source]
			child.job = cmp.Or(child.job, job.Name)
			if label := render.EventLabel(plan.Event); !slices.Contains(child.events, label) {
				child.events = append(child.events, label)
			}
			empty[job.Source] = child
		})
	}
	return empty
}

// reportChild reports an error in a child pipeline: in the file that has it, or, for files of other projects, where the child
// is started.
func (p *pass) reportChild(job *pipeline.Job, e *pipeline.Error) {
	at, path, message := e.Position, e.Path, e.Message
	if p.source(at.File) == nil {
		at, path = p.place(job, "trigger")
		if e.Position.File != "" {
			message = e.Position.String() + ": " + message
		}
	}
	p.report(Finding{
		Position: at, Path: path, Hint: cmp.Or(e.Hint, "GitLab reports this when "+job.BaseName+" runs"),
		Message: fmt.Sprintf("in the child pipeline of %s: %s", job.BaseName, message),
	})
}

// checkDuplicatePipelines compares what GitLab starts for a push to a branch with an open merge request: it sends both events.
func checkDuplicatePipelines(p *pass) {
	if p.branchWithMergeRequest == nil {
		return
	}
	for _, change := range p.mergeRequests() {
		if change.Event.MergeRequestInfo != nil && change.Event.MergeRequestInfo.Fork {
			continue
		}
		var twice []string
		for _, job := range p.branchWithMergeRequest.Jobs {
			if change.Job(job.Name) != nil {
				twice = append(twice, job.Name)
			}
		}
		if len(twice) == 0 {
			continue
		}
		f := Finding{
			Position: p.topOfConfig(), Path: "workflow",
			Message: fmt.Sprintf("a push to a branch with an open merge request starts two pipelines; both run %s", list(twice)),
			Hint:    "add to workflow:rules, before the rule for branches: {if: $CI_COMMIT_BRANCH && $CI_OPEN_MERGE_REQUESTS, when: never}",
		}
		if s := p.source(p.configPath); s != nil {
			if key, _ := entry(s.body, "workflow"); key != nil {
				f.Position = s.at(key)
			}
		}
		p.report(f)
		return
	}
}

// list names the first of many.
func list(names []string) string {
	const few = 3
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}

// enumerate joins words as a sentence does: "a, b and c".
func enumerate(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
