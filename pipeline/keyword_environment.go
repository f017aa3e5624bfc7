package pipeline

import (
	"cmp"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A name neither begins nor ends with a slash.
var environmentName = lazyregexp.New(`^[a-zA-Z0-9_${}. -](?:[a-zA-Z0-9_/${}. -]*[a-zA-Z0-9_${}. -])?$`)

const maxEnvironmentURL = 255

// maxEnvironmentName is GitLab's limit for the name of an environment, in characters.
const maxEnvironmentName = 255

// HasValidName reports whether GitLab can create the environment. A name that is valid in the configuration can become invalid when its
// variables are expanded; GitLab then creates the pipeline, with the job failed in it (environment_creation_failure).
func (e *Environment) HasValidName() bool {
	return utf8.RuneCountInString(e.Name) <= maxEnvironmentName && environmentName().MatchString(e.Name)
}

// environment validates the keyword `environment`.
func (c *checker) environment(p *keyPath, n *node) *Environment {
	if !check.IsString(n) && !check.IsMapping(n) {
		c.Fail(p, n, "", "should be a string or a hash with name, not %s", yamltree.Describe(n))
		return nil
	}
	name := n
	if n.Kind == yamltree.Mapping {
		name = n.Get("name")
	}
	switch {
	case name.IsBlank():
		c.Fail(p.Child("name"), cmp.Or(name, n), "", "the name is missing")
	case !check.IsString(name) || !environmentName().MatchString(name.Text):
		c.Fail(p.Child("name"), name, "", "can have letters, digits, spaces and - _ / $ { } . only, and no / at its ends")
	}
	if n.Kind == yamltree.String {
		return &Environment{Name: n.Text}
	}
	c.AllowedKeys(p, n, "name", "url", "action", "on_stop", "auto_stop_in", "kubernetes", "deployment_tier")
	if c.OptionalString(p, n, "url") && len([]rune(n.Get("url").RubyText())) > maxEnvironmentURL {
		c.Fail(p.Child("url"), n.Get("url"), "", "longer than %d characters", maxEnvironmentURL)
	}
	c.OptionalOneOf(p, n, "action", "start", "stop", "prepare", "verify", "access")
	c.OptionalString(p, n, "deployment_tier")
	c.OptionalString(p, n, "on_stop")
	c.Optional(p, n, "kubernetes", check.IsMapping, "a hash", "")
	c.OptionalString(p, n, "auto_stop_in")
	if v := n.Get("kubernetes"); v.Is(yamltree.Mapping) {
		c.kubernetes(p.Child("kubernetes"), v)
	}
	return &Environment{
		Name: name.RubyText(), URL: n.Get("url").RubyText(), OnStop: n.Get("on_stop").RubyText(), Action: n.Get("action").RubyText(),
		AutoStopIn: n.Get("auto_stop_in").RubyText(), DeploymentTier: n.Get("deployment_tier").RubyText(),
		Kubernetes: n.Get("kubernetes").Any(),
	}
}

func (c *checker) kubernetes(p *keyPath, n *node) {
	if len(n.Pairs) == 0 {
		c.Fail(p, n, "", "is empty")
	}
	c.AllowedKeys(p, n, "namespace", "agent", "flux_resource_path", "managed_resources", "dashboard")
	c.OptionalString(p, n, "namespace")
	flux, dashboard := n.Get("flux_resource_path"), n.Get("dashboard")
	if !flux.IsBlank() && n.Get("namespace").IsBlank() {
		c.Fail(p.Child("namespace"), flux, "", "flux_resource_path needs namespace")
	}
	c.OptionalString(p, n, "agent")
	managed := n.Get("managed_resources").Get("enabled").True()
	if (!flux.IsBlank() || !dashboard.IsBlank() || managed) && n.Get("agent").IsBlank() {
		c.Fail(p.Child("agent"), n, "", "the agent is missing")
	}
	c.OptionalString(p, n, "flux_resource_path")
	if v := n.Get("managed_resources"); !v.IsNull() && c.Mapping(p.Child("managed_resources"), v) {
		c.AllowedKeys(p.Child("managed_resources"), v, "enabled")
		if enabled := v.Get("enabled"); enabled != nil && enabled.Kind != yamltree.Bool {
			c.Fail(p.Child("managed_resources"), enabled, "without quotes", "enabled should be true or false, not %s", yamltree.Describe(enabled))
		}
	}
	if !dashboard.IsBlank() && c.Mapping(p.Child("dashboard"), dashboard) {
		c.dashboard(p, n, dashboard)
	}
}

// Limits of the keyword `environment:kubernetes:dashboard`.
const (
	maxNamespace        = 63
	maxFluxResourcePath = 255
)

func (c *checker) dashboard(p *keyPath, n, dashboard *node) {
	own := p.Child("dashboard")
	c.AllowedKeys(own, dashboard, "namespace", "flux_resource_path")
	c.RequiredKeys(own, dashboard, "namespace")
	c.Text(own, dashboard, "namespace", maxNamespace)
	c.Text(own, dashboard, "flux_resource_path", maxFluxResourcePath)
	for _, key := range []string{"namespace", "flux_resource_path"} {
		if !n.Get(key).IsBlank() && !dashboard.Get(key).IsBlank() {
			c.Fail(p.Child(key), n.Get(key), "remove it here", "is set in dashboard too")
		}
	}
}

// gitLab omits GitLab's default action.
func (e *Environment) gitLab() any {
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
