package lint

import (
	"fmt"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// isDeployment reports whether a job changes an environment.
func isDeployment(job *pipeline.Job) bool {
	return job.Environment != nil && (job.Environment.Action == "" || job.Environment.Action == "start")
}

// isShared reports whether many depend on the environment of a job: it is of the tier staging or production.
func isShared(job *pipeline.Job) bool {
	tier := job.Environment.Tier()
	return tier == "staging" || tier == "production"
}

func checkProductionInMergeRequest(p *pass) {
	for _, plan := range p.mergeRequests() {
		eachJob(plan, func(job *pipeline.Job, created bool) {
			if !created || !isDeployment(job) || job.Environment.Tier() != "production" {
				return
			}
			at, path := p.place(job, "environment")
			p.report(Finding{
				Position: at, Path: path,
				Message: fmt.Sprintf("merge request pipelines can deploy to the production environment %s", job.Environment.Name),
				Hint:    "limit the job's rules to the default branch or tags; if it is not production, set `environment:deployment_tier`",
			})
		})
	}
}

// checkDeployWithoutResourceGroup looks at what is shared: staging and production. Environments that each branch or merge request
// has of its own see few pipelines.
func checkDeployWithoutResourceGroup(p *pass) {
	names := p.environmentNames()
	for _, job := range p.distinct {
		if !isDeployment(job) || job.ResourceGroup != "" || len(names[job.Name]) > 1 {
			continue
		}
		if !isShared(job) {
			continue
		}
		at, path := p.place(job, "environment")
		p.report(Finding{
			Position: at, Path: path,
			Message: "two pipelines can deploy to this environment at the same time",
			Hint:    "add `resource_group:` with the environment's name",
		})
	}
}

// environmentNames returns the environments that each job deploys to on the events that are compiled: more than one if the name
// depends on the branch, tag or merge request.
func (p *pass) environmentNames() map[string]map[string]bool {
	names := map[string]map[string]bool{}
	for _, plan := range p.plans {
		eachJob(plan, func(job *pipeline.Job, _ bool) {
			if job.Environment == nil {
				return
			}
			if names[job.Name] == nil {
				names[job.Name] = map[string]bool{}
			}
			names[job.Name][job.Environment.Name] = true
		})
	}
	return names
}

// checkEnvironmentName reports names that are not valid on the events that have the job. An empty name comes from a variable that
// only the project's settings have.
func checkEnvironmentName(p *pass) {
	type use struct {
		job    *pipeline.Job
		events []string
	}
	var order []string
	uses := map[string]*use{}
	for _, plan := range p.plans {
		eachJob(plan, func(job *pipeline.Job, created bool) {
			if !created || job.Environment == nil || job.Environment.Name == "" || job.Environment.HasValidName() {
				return
			}
			id := fmt.Sprint(job.Source, job.Environment.Name)
			if uses[id] == nil {
				uses[id] = &use{job: job}
				order = append(order, id)
			}
			if label := render.EventLabel(plan.Event); !slices.Contains(uses[id].events, label) {
				uses[id].events = append(uses[id].events, label)
			}
		})
	}
	for _, id := range order {
		at, path := p.place(uses[id].job, "environment", "name")
		p.report(Finding{
			Position: at, Path: path, Events: uses[id].events,
			Message: fmt.Sprintf("the environment's name becomes %q, which GitLab refuses", uses[id].job.Environment.Name),
			Hint:    "use variables that are set on these events, and slugs like $CI_COMMIT_REF_SLUG; if the project's settings have one, compile with them",
		})
	}
}

// branchNames are the variables that hold the name of a branch as people have chosen it.
var branchNames = []string{"CI_COMMIT_REF_NAME", "CI_COMMIT_BRANCH", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"}

// checkEnvironmentOfBranch reports names of branches in the name of an environment, or in the host of its URL, where jobs run for branches
// of any name: not for the default branch, tags and branches that are protected, whose names the project chooses.
func checkEnvironmentOfBranch(p *pass) {
	seen := map[pipeline.Position]bool{}
	for _, plan := range p.plans {
		if plan.Event.Branch == "" || plan.Event.RefProtected {
			continue
		}
		eachJob(plan, func(job *pipeline.Job, created bool) {
			if !created || job.Environment == nil || seen[job.Source] {
				return
			}
			seen[job.Source] = true
			at, path, text := p.written(job, "environment", "name")
			if name := branchNameIn(text, job.Variables); name != "" {
				p.report(Finding{
					Position: at, Path: path,
					Message: fmt.Sprintf("the environment's name contains $%s, and branches can have names that GitLab refuses for environments, such as fix/#12", name),
					Hint:    "use $CI_COMMIT_REF_SLUG",
				})
			}
			at, path, text = p.written(job, "environment", "url")
			if name := branchNameIn(hostOf(text), job.Variables); name != "" {
				p.report(Finding{
					Position: at, Path: path,
					Message: fmt.Sprintf("the host of the environment's URL contains $%s, and branches can have names that are no host names, such as fix/12", name),
					Hint:    "use $CI_ENVIRONMENT_SLUG or $CI_COMMIT_REF_SLUG",
				})
			}
		})
	}
}

// branchNameIn returns the variable with a branch's name that a text uses, or that the values of the job's own variables in it do.
func branchNameIn(text string, variables []pipeline.Variable) string {
	seen := map[string]bool{}
	for names := variable.Names(text); len(names) > 0; names = names[1:] {
		name := names[0]
		if slices.Contains(branchNames, name) {
			return name
		}
		i := slices.IndexFunc(variables, func(v pipeline.Variable) bool { return v.Key == name && !v.Raw })
		if i >= 0 && !seen[name] {
			seen[name] = true
			names = slices.Concat(names[:1], variable.Names(variables[i].Value), names[1:])
		}
	}
	return ""
}

// hostOf returns the host of a URL with variables in it.
func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

func checkInterruptibleDeployment(p *pass) {
	for _, job := range p.distinct {
		if !isDeployment(job) || !isShared(job) || job.Interruptible == nil || !*job.Interruptible {
			continue
		}
		// In a template or a default it may be right for other jobs: the deployment has to override it.
		at, path := p.place(job, "interruptible")
		if path != jobPath(job.BaseName, []string{"interruptible"}) {
			at, path = job.Source, "jobs:"+job.BaseName
		}
		p.report(Finding{
			Position: at, Path: path,
			Message: "a newer pipeline can stop this deployment halfway",
			Hint:    "set `interruptible: false`",
		})
	}
}
