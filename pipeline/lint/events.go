package lint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// mergeRequests are the compiled pipelines of merge requests.
func (p *pass) mergeRequests() []*pipeline.Plan {
	var plans []*pipeline.Plan
	for _, plan := range p.plans {
		if plan.Event.Source == pipeline.MergeRequest && plan.Created {
			plans = append(plans, plan)
		}
	}
	return plans
}

func checkJobWithoutRules(p *pass) {
	for _, plan := range p.mergeRequests() {
		for _, job := range plan.Dropped {
			written, ok := p.written(job)
			if !ok || value(written.node, "rules") != nil || value(written.node, "only") != nil ||
				value(written.node, "except") != nil || value(written.node, "extends") != nil {
				continue
			}
			p.report(Finding{
				Position: job.Source, Path: "jobs:" + job.Name,
				Message: fmt.Sprintf("job %s has no rules: merge request pipelines leave it out", job.Name),
				Hint:    "give it `rules`, or add `workflow:rules` for the whole pipeline",
			})
		}
	}
}

func checkBlockingManual(p *pass) {
	for _, plan := range p.mergeRequests() {
		for _, job := range plan.Jobs {
			if job.When != pipeline.Manual || job.AllowFailure {
				continue
			}
			position := job.Decision.Position
			if position.File == "" {
				position = job.Source
			}
			p.report(Finding{
				Position: position, Path: "jobs:" + job.BaseName,
				Message: fmt.Sprintf("manual job %s blocks merge request pipelines", job.BaseName),
				Hint:    "add `allow_failure: true`, or leave the job out of merge request pipelines; if it is meant to block: # slipway:disable=blocking-manual-in-merge-request",
			})
		}
	}
}

func checkProductionInMergeRequest(p *pass) {
	for _, plan := range p.mergeRequests() {
		for _, job := range plan.Jobs {
			if isProduction(job) {
				at, path := p.place(job, "environment")
				p.report(Finding{
					Position: at, Path: path,
					Message: fmt.Sprintf("job %s deploys to %s from a merge request pipeline", job.BaseName, job.Environment.Name),
					Hint:    "let its rules match the default branch or tags only",
				})
			}
		}
	}
}

func checkChildPipelines(p *pass) {
	for _, plan := range p.plans {
		for _, job := range plan.Jobs {
			var wrong pipeline.Errors
			if job.Trigger != nil && errors.As(job.Trigger.ChildError(), &wrong) {
				for _, e := range wrong {
					p.reportChild(job, e)
				}
			}
		}
	}
	empty := p.emptyChildren()
	p.compiled(func(job *pipeline.Job) {
		if child, ok := empty[job.BaseName]; ok {
			at, path := p.place(job, "trigger")
			p.report(Finding{
				Position: at, Path: path, Events: slices.Compact(child.events),
				Message: fmt.Sprintf("the child pipeline of %s has no jobs", child.job),
				Hint:    "give the job the rules of the child's jobs; in the child, $CI_PIPELINE_SOURCE is parent_pipeline",
			})
		}
	})
}

// An emptyChild is a child pipeline without jobs: the first job that starts it, and the events on which it does.
type emptyChild struct {
	job    string
	events []string
}

// emptyChildren gives the child pipelines without jobs by the name of what starts them in the configuration.
func (p *pass) emptyChildren() map[string]emptyChild {
	empty := map[string]emptyChild{}
	for _, plan := range p.plans {
		for _, job := range plan.Jobs {
			if job.Trigger == nil || job.Trigger.Child == nil || job.Trigger.Child.Created {
				continue
			}
			child := empty[job.BaseName]
			child.job = cmp.Or(child.job, job.Name)
			child.events = append(child.events, render.EventLabel(plan.Event))
			empty[job.BaseName] = child
		}
	}
	return empty
}

// reportChild tells of an error in a child pipeline: in the file that has it, or, for files of other projects, where the child
// is started.
func (p *pass) reportChild(job *pipeline.Job, e *pipeline.Error) {
	at, path, message := e.Position, e.Path, e.Message
	if p.source(at.File) == nil {
		at, path = p.place(job, "trigger")
		if e.Position.File != "" {
			message = render.Place(e.Position) + ": " + message
		}
	}
	p.report(Finding{
		Position: at, Path: path, Hint: cmp.Or(e.Hint, "GitLab would say so when "+job.BaseName+" runs"),
		Message: fmt.Sprintf("in the child pipeline of %s: %s", job.BaseName, message),
	})
}

// isDeployment reports whether a job changes an environment.
func isDeployment(job *pipeline.Job) bool {
	return job.Environment != nil && (job.Environment.Action == "" || job.Environment.Action == "start")
}

func isProduction(job *pipeline.Job) bool {
	if !isDeployment(job) {
		return false
	}
	if tier := job.Environment.DeploymentTier; tier != "" {
		return tier == "production"
	}
	// GitLab guesses the tier from the name in the same spirit.
	name := strings.ToLower(job.Environment.Name)
	first, _, _ := strings.Cut(name, "/")
	return first == "production" || first == "prod" || first == "live"
}

// checkDuplicatePipelines looks at what a push to a branch with an open merge request starts: GitLab sends both events.
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
			Position: pipeline.Position{File: p.configPath, Line: 1, Column: 1}, Path: "workflow",
			Message: fmt.Sprintf("a push to a branch with an open merge request starts two pipelines; %s runs in both", list(twice)),
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

// list names a few of many.
func list(names []string) string {
	const few = 3
	if len(names) > few {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
	}
	return strings.Join(names, ", ")
}

// compiled visits each job of the configuration once, as the first event that has it makes it.
func (p *pass) compiled(visit func(*pipeline.Job)) {
	for _, job := range p.distinct {
		visit(job)
	}
}

// distinctJobs are the jobs of the plans, each once.
func distinctJobs(plans []*pipeline.Plan) []*pipeline.Job {
	type identity struct {
		name   string
		source pipeline.Position
	}
	var jobs []*pipeline.Job
	seen := map[identity]bool{}
	for _, plan := range plans {
		for _, job := range plan.Jobs {
			if id := (identity{job.BaseName, job.Source}); !seen[id] {
				seen[id] = true
				jobs = append(jobs, job)
			}
		}
	}
	return jobs
}

func checkDeployWithoutResourceGroup(p *pass) {
	p.compiled(func(job *pipeline.Job) {
		if !isDeployment(job) || job.ResourceGroup != "" || strings.HasPrefix(job.Environment.Name, "review/") || p.ownEnvironment(job) {
			return
		}
		at, _ := p.place(job, "environment")
		p.report(Finding{
			Position: at, Path: "jobs:" + job.BaseName + ":resource_group",
			Message: fmt.Sprintf("two pipelines can deploy to %s at once", job.Environment.Name),
			Hint:    "add `resource_group:` with the environment's name",
		})
	})
}

var refVariable = lazyregexp.New(`CI_COMMIT_(REF|BRANCH|TAG|SHA|SHORT_SHA)|CI_MERGE_REQUEST_`)

// ownEnvironment reports whether each branch, tag or merge request has an environment of its own: few pipelines meet there.
func (p *pass) ownEnvironment(job *pipeline.Job) bool {
	written, ok := p.written(job)
	if !ok {
		return false
	}
	for _, j := range p.lineage(written) {
		environment := value(j.node, "environment")
		if name := value(environment, "name"); name != nil {
			environment = name
		}
		if environment != nil && environment.Kind == yaml.ScalarNode {
			return refVariable().MatchString(environment.Value)
		}
	}
	return false
}

func checkInterruptibleDeployment(p *pass) {
	p.compiled(func(job *pipeline.Job) {
		if isDeployment(job) && job.Interruptible != nil && *job.Interruptible {
			// In a template for many jobs it may be right: then the deployment has to override it.
			at, path := p.place(job, "interruptible")
			if path != jobPath(job.BaseName, []string{"interruptible"}) {
				at, path = job.Source, "jobs:"+job.BaseName
			}
			p.report(Finding{
				Position: at, Path: path,
				Message: fmt.Sprintf("a newer pipeline can stop the deployment to %s half-way", job.Environment.Name),
				Hint:    "set `interruptible: false`",
			})
		}
	})
}

func checkNeedsAndDependencies(p *pass) {
	p.compiled(func(job *pipeline.Job) {
		if job.Needs != nil && job.Dependencies != nil && len(job.Dependencies) > 0 {
			at, path := p.ownPlace(job, "dependencies")
			p.report(Finding{
				Position: at, Path: path,
				Message: "`needs` decides already which artifacts are fetched",
				Hint:    "remove `dependencies`; write `artifacts: false` at the needs whose artifacts are not wanted",
			})
		}
	})
}

func checkImageNotPinned(p *pass) {
	p.compiled(func(job *pipeline.Job) {
		if job.Image != nil && unpinned(job.Image.Name) {
			p.reportImage(job, "image", job.Image.Name)
		}
		for _, service := range job.Services {
			if unpinned(service.Name) {
				p.reportImage(job, "services", service.Name)
			}
		}
	})
}

func (p *pass) reportImage(job *pipeline.Job, keyword, name string) {
	at, path := p.ownPlace(job, keyword)
	p.report(Finding{
		Position: at, Path: path,
		Message: fmt.Sprintf("image %q is another one tomorrow", name),
		Hint:    "name a version, better a digest: image:1.2.3@sha256:...",
	})
}

// unpinned reports whether an image has no tag, or `latest`. What a variable decides is not known here.
func unpinned(image string) bool {
	if image == "" || strings.Contains(image, "@") {
		return false
	}
	last := image[strings.LastIndex(image, "/")+1:]
	_, tag, tagged := strings.Cut(last, ":")
	return !tagged && !strings.Contains(last, "$") || tag == "latest"
}

func checkArchivedTool(p *pass) {
	p.compiled(func(job *pipeline.Job) {
		if job.Image != nil && strings.Contains(job.Image.Name, "kaniko-project/executor") {
			at, path := p.ownPlace(job, "image")
			p.report(Finding{
				Position: at, Path: path,
				Message: "kaniko is archived and gets no fixes",
				Hint:    "build with rootless BuildKit, buildah, or ko",
			})
		}
	})
}

func checkArtifactsLostOnFailure(p *pass) {
	p.compiled(func(job *pipeline.Job) {
		a := job.Artifacts
		if a == nil || len(a.Reports) == 0 || len(a.Paths) == 0 || a.When == "always" || onlyDotenv(a) {
			return
		}
		at, path := p.ownPlace(job, "artifacts", "paths")
		p.report(Finding{
			Position: at, Path: path,
			Message: "if the job fails, its reports are uploaded and these paths are not",
			Hint:    "add `when: always` to artifacts",
		})
	})
}

// onlyDotenv reports whether the only report is one for later jobs, which do not run after a failure.
func onlyDotenv(a *pipeline.Artifacts) bool {
	_, dotenv := a.Reports["dotenv"]
	return dotenv && len(a.Reports) == 1
}

func checkCacheOutsideProject(p *pass) {
	p.compiled(func(job *pipeline.Job) {
		for _, cache := range job.Cache {
			for _, cached := range cache.Paths {
				if outside(cached) {
					at, path := p.ownPlace(job, "cache", "paths")
					p.report(Finding{
						Position: at, Path: path,
						Message: fmt.Sprintf("%s is not below the project's folder, so it is not cached", cached),
						Hint:    "point the tool at a folder below $CI_PROJECT_DIR, and cache that",
					})
				}
			}
		}
	})
}

// outside reports whether a path surely leaves the project's folder.
func outside(path string) bool {
	for _, prefix := range []string{"$CI_PROJECT_DIR", "${CI_PROJECT_DIR}"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			return strings.HasPrefix(rest, "/../")
		}
	}
	for _, prefix := range []string{"/", "~", "../", "$HOME", "${HOME}", "$GOPATH", "${GOPATH}"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return path == ".."
}

func checkCacheUnprotected(p *pass) {
	p.compiled(func(job *pipeline.Job) {
		if slices.ContainsFunc(job.Cache, func(c pipeline.Cache) bool { return c.Unprotect }) {
			at, path := p.ownPlace(job, "cache", "unprotect")
			p.report(Finding{
				Position: at, Path: path,
				Message: "protected branches restore a cache that every branch can write",
				Hint:    "remove `unprotect`; let fallback_keys give other branches a warm start",
			})
		}
	})
}

func checkGoCacheOutsideProject(p *pass) {
	p.compiled(func(job *pipeline.Job) {
		if len(job.Cache) == 0 {
			return
		}
		for _, v := range job.Variables {
			switch v.Key {
			case "GOCACHE", "GOMODCACHE", "GOLANGCI_LINT_CACHE":
			default:
				continue
			}
			if outside(v.Value) {
				at, path := p.ownPlace(job, "variables", v.Key)
				p.report(Finding{
					Position: at, Path: path,
					Message: fmt.Sprintf("%s is %s, which the runner cannot cache", v.Key, v.Value),
					Hint:    fmt.Sprintf("set %s to a folder like $CI_PROJECT_DIR/.cache, and cache that", v.Key),
				})
			}
		}
	})
}
