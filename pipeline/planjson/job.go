package planjson

import (
	"maps"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// Job is one job under GitLab's keywords, without what is GitLab's default.
func Job(job *pipeline.Job) map[string]any {
	d := map[string]any{"name": job.Name, "stage": job.Stage}
	if job.When != pipeline.OnSuccess && job.When != "" {
		d["when"] = job.When
	}
	put(d, "start_in", job.StartInText)
	switch {
	case len(job.AllowFailureExitCodes) > 0:
		d["allow_failure"] = map[string]any{"exit_codes": job.AllowFailureExitCodes}
	case job.AllowFailure:
		d["allow_failure"] = true
	}
	if job.Needs != nil {
		d["needs"] = needs(job.Needs)
	}
	if job.Dependencies != nil {
		d["dependencies"] = job.Dependencies
	}
	if job.Environment != nil {
		d["environment"] = environment(job.Environment)
	}
	put(d, "resource_group", job.ResourceGroup)
	if job.Interruptible != nil {
		d["interruptible"] = *job.Interruptible
	}
	if job.Retry != nil {
		d["retry"] = retry(job.Retry)
	}
	put(d, "timeout", int(job.Timeout.Seconds()))
	put(d, "parallel", job.Parallel)
	put(d, "instance", job.Instance)
	putList(d, "tags", job.Tags)
	if job.Image != nil {
		d["image"] = image(job.Image)
	}
	if len(job.Services) > 0 {
		services := make([]any, len(job.Services))
		for i := range job.Services {
			services[i] = image(&job.Services[i])
		}
		d["services"] = services
	}
	if len(job.Variables) > 0 {
		d["variables"] = variables(job.Variables)
	}
	putList(d, "script", job.Script)
	putList(d, "before_script", job.BeforeScript)
	putList(d, "after_script", job.AfterScript)
	if len(job.Cache) > 0 {
		caches := make([]any, len(job.Cache))
		for i := range job.Cache {
			caches[i] = cache(&job.Cache[i])
		}
		d["cache"] = caches
	}
	if job.Artifacts != nil {
		d["artifacts"] = artifacts(job.Artifacts)
	}
	if job.Trigger != nil {
		d["trigger"] = trigger(job.Trigger)
	}
	put(d, "manual_confirmation", job.ManualConfirmation)
	put(d, "coverage", job.Coverage)
	putAny(d, "release", job.Release)
	putAny(d, "hooks", job.Hooks)
	putAny(d, "id_tokens", job.IDTokens)
	putAny(d, "secrets", job.Secrets)
	putAny(d, "pages", job.Pages)
	return d
}

func needs(list []pipeline.Need) []any {
	out := make([]any, len(list))
	for i, n := range list {
		if n.Artifacts && !n.Optional && n.Project == "" && n.Pipeline == "" {
			out[i] = n.Job
			continue
		}
		d := map[string]any{}
		put(d, "job", n.Job)
		put(d, "project", n.Project)
		put(d, "ref", n.Ref)
		put(d, "pipeline", n.Pipeline)
		put(d, "optional", n.Optional)
		if !n.Artifacts {
			d["artifacts"] = false
		}
		out[i] = d
	}
	return out
}

func environment(e *pipeline.Environment) map[string]any {
	d := map[string]any{"name": e.Name}
	put(d, "url", e.URL)
	put(d, "on_stop", e.OnStop)
	if e.Action != "start" {
		put(d, "action", e.Action)
	}
	put(d, "auto_stop_in", e.AutoStopIn)
	put(d, "deployment_tier", e.DeploymentTier)
	putAny(d, "kubernetes", e.Kubernetes)
	return d
}

// retry is a number if only the maximum is given.
func retry(r *pipeline.Retry) any {
	if len(r.When) == 0 && len(r.ExitCodes) == 0 {
		return r.Max
	}
	d := map[string]any{"max": r.Max}
	putList(d, "when", r.When)
	putList(d, "exit_codes", r.ExitCodes)
	return d
}

// image is a string if only the name is given.
func image(i *pipeline.Image) any {
	d := map[string]any{"name": i.Name}
	put(d, "alias", i.Alias)
	putList(d, "entrypoint", i.Entrypoint)
	putList(d, "command", i.Command)
	putList(d, "pull_policy", i.PullPolicy)
	putAny(d, "docker", i.Docker)
	putAny(d, "kubernetes", i.Kubernetes)
	if len(i.Variables) > 0 {
		d["variables"] = variables(i.Variables)
	}
	if len(d) == 1 {
		return i.Name
	}
	return d
}

func variables(list []pipeline.Variable) map[string]any {
	d := map[string]any{}
	for _, v := range list {
		if v.Raw {
			d[v.Key] = map[string]any{"value": v.Value, "expand": false}
		} else {
			d[v.Key] = v.Value
		}
	}
	return d
}

func cache(c *pipeline.Cache) map[string]any {
	d := map[string]any{}
	key := map[string]any{}
	putList(key, "files", c.KeyFiles)
	putList(key, "files_commits", c.KeyFilesCommits)
	switch {
	case len(key) > 0:
		put(key, "prefix", c.KeyPrefix)
		d["key"] = key
	case c.Key != "default":
		put(d, "key", c.Key)
	}
	putList(d, "fallback_keys", c.FallbackKeys)
	putList(d, "paths", c.Paths)
	put(d, "untracked", c.Untracked)
	put(d, "unprotect", c.Unprotect)
	if c.When != "on_success" {
		put(d, "when", c.When)
	}
	if c.Policy != "pull-push" {
		put(d, "policy", c.Policy)
	}
	return d
}

func artifacts(a *pipeline.Artifacts) map[string]any {
	d := map[string]any{}
	putList(d, "paths", a.Paths)
	putList(d, "exclude", a.Exclude)
	put(d, "untracked", a.Untracked)
	put(d, "expire_in", a.ExpireIn)
	put(d, "expose_as", a.ExposeAs)
	put(d, "name", a.Name)
	put(d, "when", a.When)
	if a.Public != nil {
		d["public"] = *a.Public
	}
	put(d, "access", a.Access)
	if len(a.Reports) > 0 {
		d["reports"] = maps.Clone(a.Reports)
	}
	return d
}

func trigger(t *pipeline.TriggerSpec) map[string]any {
	d := map[string]any{}
	put(d, "project", t.Project)
	put(d, "branch", t.Branch)
	put(d, "strategy", t.Strategy)
	if len(t.Include) == 1 {
		if file, ok := t.Include[0].(string); ok {
			d["include"] = file
		}
	}
	if _, ok := d["include"]; !ok && len(t.Include) > 0 {
		d["include"] = t.Include
	}
	if len(t.Inputs) > 0 {
		d["inputs"] = t.Inputs
	}
	if len(t.Forward) > 0 {
		d["forward"] = t.Forward
	}
	return d
}

func putList[T any](d map[string]any, key string, list []T) {
	if len(list) > 0 {
		d[key] = list
	}
}

func putAny(d map[string]any, key string, value any) {
	if value != nil {
		d[key] = value
	}
}
