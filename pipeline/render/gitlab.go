package render

import (
	"gitlab.com/slipway-ci/slipway/pipeline"
)

// A GitLabJob is a job in the form in which GitLab stores it: GitLab's keywords, without what is GitLab's default. The form is
// that of the conformance cases: see ../testdata/conformance/README.md.
type GitLabJob struct {
	AfterScript        []string       `json:"after_script,omitzero"`
	AllowFailure       any            `json:"allow_failure,omitzero"`
	Artifacts          any            `json:"artifacts,omitzero"`
	BeforeScript       []string       `json:"before_script,omitzero"`
	Cache              []any          `json:"cache,omitzero"`
	Coverage           string         `json:"coverage,omitzero"`
	Dependencies       []string       `json:"dependencies,omitzero"`
	Environment        any            `json:"environment,omitzero"`
	Hooks              any            `json:"hooks,omitzero"`
	IDTokens           any            `json:"id_tokens,omitzero"`
	Identity           string         `json:"identity,omitzero"`
	Image              any            `json:"image,omitzero"`
	Instance           int            `json:"instance,omitzero"`
	Interruptible      *bool          `json:"interruptible,omitzero"`
	ManualConfirmation string         `json:"manual_confirmation,omitzero"`
	Name               string         `json:"name"`
	Needs              []any          `json:"needs,omitzero"`
	Pages              any            `json:"pages,omitzero"`
	Parallel           int            `json:"parallel,omitzero"`
	Release            any            `json:"release,omitzero"`
	ResourceGroup      string         `json:"resource_group,omitzero"`
	Retry              any            `json:"retry,omitzero"`
	Run                any            `json:"run,omitzero"`
	Script             []string       `json:"script,omitzero"`
	Secrets            any            `json:"secrets,omitzero"`
	Services           []any          `json:"services,omitzero"`
	Stage              string         `json:"stage"`
	StartIn            string         `json:"start_in,omitzero"`
	Tags               []string       `json:"tags,omitzero"`
	Timeout            int64          `json:"timeout,omitzero"` // in seconds
	Trigger            any            `json:"trigger,omitzero"`
	Variables          map[string]any `json:"variables,omitzero"`
	When               pipeline.When  `json:"when,omitzero"`
}

// GitLabJobs returns the jobs of a plan as GitLab stores them.
func GitLabJobs(jobs []*pipeline.Job) []GitLabJob {
	list := make([]GitLabJob, len(jobs))
	for i, job := range jobs {
		list[i] = NewGitLabJob(job)
	}
	return list
}

// NewGitLabJob returns a job as GitLab stores it.
func NewGitLabJob(j *pipeline.Job) GitLabJob {
	g := GitLabJob{
		Name: j.Name, Stage: j.Stage, StartIn: j.StartInText, Dependencies: j.Dependencies, ResourceGroup: j.ResourceGroup,
		Interruptible: j.Interruptible, Timeout: int64(j.Timeout.Seconds()), Parallel: j.Parallel, Instance: j.Instance,
		Release: j.Release, Hooks: j.Hooks, IDTokens: j.IDTokens, Secrets: j.Secrets, Identity: j.Identity, Run: j.Run, Pages: j.Pages,
		ManualConfirmation: j.ManualConfirmation, Coverage: j.Coverage,
	}
	if j.When != pipeline.OnSuccess {
		g.When = j.When
	}
	switch {
	case j.AllowFailureCriteria || j.AllowFailureExitCodes != nil:
		criteria := map[string]any{}
		setUnlessNil(criteria, "exit_codes", j.AllowFailureExitCodes)
		g.AllowFailure = criteria
	case j.AllowFailure:
		g.AllowFailure = true
	}
	if len(j.Tags) > 0 {
		g.Tags = j.Tags
	}
	if j.Needs != nil {
		g.Needs = each(j.Needs, gitLabNeed)
	}
	if j.Environment != nil {
		g.Environment = gitLabEnvironment(j.Environment)
	}
	if j.Retry != nil {
		g.Retry = gitLabRetry(j.Retry)
	}
	if j.Image != nil {
		g.Image = gitLabImage(*j.Image)
	}
	if len(j.Services) > 0 {
		g.Services = each(j.Services, gitLabImage)
	}
	if len(j.Variables) > 0 {
		g.Variables = gitLabVariables(j.Variables)
	}
	if len(j.Cache) > 0 {
		g.Cache = each(j.Cache, gitLabCache)
	}
	if j.Artifacts != nil {
		g.Artifacts = gitLabArtifacts(j.Artifacts)
	}
	if j.Trigger != nil {
		g.Trigger = gitLabTrigger(j.Trigger)
		return g
	}
	g.Script, g.BeforeScript, g.AfterScript = j.Script, j.BeforeScript, j.AfterScript
	return g
}

func each[T any](list []T, convert func(T) any) []any {
	out := make([]any, len(list))
	for i, item := range list {
		out[i] = convert(item)
	}
	return out
}

// setUnlessNil sets a key to a list that is given, be it empty.
func setUnlessNil[T any](m map[string]any, key string, list []T) {
	if list != nil {
		m[key] = list
	}
}

// gitLabNeed writes a need that only names a job as a string.
func gitLabNeed(n pipeline.Need) any {
	if n.Artifacts && !n.Optional && n.Project == "" && n.Pipeline == "" {
		return n.Job
	}
	m := map[string]any{"job": n.Job}
	if !n.Artifacts {
		m["artifacts"] = false
	}
	put(m, "optional", n.Optional)
	put(m, "project", n.Project)
	put(m, "ref", n.Ref)
	put(m, "pipeline", n.Pipeline)
	return m
}

// gitLabEnvironment leaves GitLab's default action out.
func gitLabEnvironment(e *pipeline.Environment) any {
	m := map[string]any{"name": e.Name}
	put(m, "url", e.URL)
	put(m, "on_stop", e.OnStop)
	put(m, "auto_stop_in", e.AutoStopIn)
	put(m, "deployment_tier", e.DeploymentTier)
	if e.Action != "start" {
		put(m, "action", e.Action)
	}
	if e.Kubernetes != nil {
		m["kubernetes"] = e.Kubernetes
	}
	return m
}

// gitLabRetry writes a number if only the maximum is given.
func gitLabRetry(r *pipeline.Retry) any {
	if !r.NoMax && r.When == nil && r.ExitCodes == nil {
		return r.Max
	}
	m := map[string]any{}
	if !r.NoMax {
		m["max"] = r.Max
	}
	setUnlessNil(m, "when", r.When)
	setUnlessNil(m, "exit_codes", r.ExitCodes)
	return m
}

// gitLabImage writes an image that has only a name as a string.
func gitLabImage(i pipeline.Image) any {
	m := map[string]any{"name": i.Name}
	setUnlessNil(m, "entrypoint", i.Entrypoint)
	setUnlessNil(m, "command", i.Command)
	put(m, "alias", i.Alias)
	if len(i.PullPolicy) > 0 {
		m["pull_policy"] = i.PullPolicy
	}
	executor := map[string]any{}
	if i.Docker != nil {
		executor["docker"] = i.Docker
	}
	if i.Kubernetes != nil {
		executor["kubernetes"] = i.Kubernetes
	}
	if len(executor) > 0 {
		m["executor_opts"] = executor
	}
	if i.Variables != nil {
		values := make(map[string]string, len(i.Variables))
		for _, v := range i.Variables {
			values[v.Key] = v.Value
		}
		m["variables"] = values
	}
	if len(m) == 1 {
		return i.Name
	}
	return m
}

func gitLabVariables(variables []pipeline.Variable) map[string]any {
	m := make(map[string]any, len(variables))
	for _, v := range variables {
		if v.Raw {
			m[v.Key] = map[string]any{"value": v.Value, "expand": false}
		} else {
			m[v.Key] = v.Value
		}
	}
	return m
}

// GitLab's defaults of `cache` and `artifacts`.
const (
	defaultKey    = "default"
	defaultWhen   = "on_success"
	defaultPolicy = "pull-push"
)

func gitLabCache(c pipeline.Cache) any {
	m := map[string]any{}
	switch {
	case c.KeyFiles != nil, c.KeyFilesCommits != nil:
		key := map[string]any{}
		setUnlessNil(key, "files", c.KeyFiles)
		setUnlessNil(key, "files_commits", c.KeyFilesCommits)
		put(key, "prefix", c.KeyPrefix)
		m["key"] = key
	case c.Key != defaultKey:
		m["key"] = c.Key
	}
	if len(c.FallbackKeys) > 0 {
		m["fallback_keys"] = c.FallbackKeys
	}
	setUnlessNil(m, "paths", c.Paths)
	if c.Untracked || c.UntrackedSet {
		m["untracked"] = c.Untracked
	}
	put(m, "unprotect", c.Unprotect)
	if c.When != defaultWhen {
		put(m, "when", c.When)
	}
	if c.Policy != defaultPolicy {
		put(m, "policy", c.Policy)
	}
	return m
}

func gitLabArtifacts(a *pipeline.Artifacts) any {
	if a.Stored != nil {
		return a.Stored
	}
	m := map[string]any{}
	setUnlessNil(m, "paths", a.Paths)
	setUnlessNil(m, "exclude", a.Exclude)
	put(m, "untracked", a.Untracked)
	put(m, "expire_in", a.ExpireIn)
	put(m, "expose_as", a.ExposeAs)
	put(m, "name", a.Name)
	if a.When != defaultWhen {
		put(m, "when", a.When)
	}
	if a.Public != nil {
		m["public"] = *a.Public
	}
	put(m, "access", a.Access)
	if a.Reports != nil {
		m["reports"] = a.Reports
	}
	return m
}

func gitLabTrigger(t *pipeline.TriggerSpec) any {
	if t.Stored != nil {
		return t.Stored
	}
	m := map[string]any{}
	put(m, "project", t.Project)
	put(m, "branch", t.Branch)
	put(m, "strategy", t.Strategy)
	setUnlessNil(m, "include", t.Include)
	if t.Inputs != nil {
		m["inputs"] = t.Inputs
	}
	if t.Forward != nil {
		m["forward"] = t.Forward
	}
	return m
}
