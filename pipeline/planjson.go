package pipeline

import "encoding/json"

// MarshalJSON writes a job without what is GitLab's default, in GitLab's words. The form is that of the conformance
// cases: see testdata/conformance/README.md.
func (j *Job) MarshalJSON() ([]byte, error) {
	m := map[string]any{"name": j.Name, "stage": j.Stage}
	set := func(key string, value any, given bool) {
		if given {
			m[key] = value
		}
	}
	set("when", j.When, j.When != "" && j.When != OnSuccess)
	set("start_in", j.StartInText, j.StartInText != "")
	switch {
	case j.exitCodesGiven || j.AllowFailureExitCodes != nil:
		criteria := make(map[string]any)
		if j.AllowFailureExitCodes != nil {
			criteria["exit_codes"] = j.AllowFailureExitCodes
		}
		m["allow_failure"] = criteria
	case j.AllowFailure:
		m["allow_failure"] = true
	}
	set("needs", j.Needs, j.Needs != nil)
	set("dependencies", j.Dependencies, j.Dependencies != nil)
	set("environment", j.Environment, j.Environment != nil)
	set("resource_group", j.ResourceGroup, j.ResourceGroup != "")
	set("interruptible", j.Interruptible, j.Interruptible != nil)
	set("retry", j.Retry, j.Retry != nil)
	set("timeout", int64(j.Timeout.Seconds()), j.Timeout > 0)
	set("parallel", j.Parallel, j.Parallel > 0)
	set("instance", j.Instance, j.Instance > 0)
	set("tags", j.Tags, len(j.Tags) > 0)
	set("image", j.Image, j.Image != nil)
	set("services", j.Services, len(j.Services) > 0)
	set("variables", yamlVariables(j.Variables), len(j.Variables) > 0)
	if j.Trigger == nil {
		set("script", j.Script, j.Script != nil)
		set("before_script", j.BeforeScript, j.BeforeScript != nil)
		set("after_script", j.AfterScript, j.AfterScript != nil)
	}
	set("cache", j.Cache, len(j.Cache) > 0)
	set("artifacts", j.Artifacts, j.Artifacts != nil)
	set("release", j.Release, j.Release != nil)
	set("trigger", j.Trigger, j.Trigger != nil)
	set("hooks", j.Hooks, j.Hooks != nil)
	set("id_tokens", j.IDTokens, j.IDTokens != nil)
	set("secrets", j.Secrets, j.Secrets != nil)
	set("identity", j.Identity, j.Identity != "")
	set("run", j.Run, j.Run != nil)
	set("pages", j.Pages, j.Pages != nil)
	set("manual_confirmation", j.ManualConfirmation, j.ManualConfirmation != "")
	set("coverage", j.Coverage, j.Coverage != "")
	return json.Marshal(m)
}

func yamlVariables(variables []Variable) map[string]any {
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

// MarshalJSON writes a need that only names a job as a string.
func (n Need) MarshalJSON() ([]byte, error) {
	if n.Artifacts && !n.Optional && n.Project == "" && n.Pipeline == "" {
		return json.Marshal(n.Job)
	}
	m := map[string]any{"job": n.Job}
	if !n.Artifacts {
		m["artifacts"] = false
	}
	if n.Optional {
		m["optional"] = true
	}
	for key, value := range map[string]string{"project": n.Project, "ref": n.Ref, "pipeline": n.Pipeline} {
		if value != "" {
			m[key] = value
		}
	}
	return json.Marshal(m)
}
