package pipeline

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

var pullPolicies = []string{"always", "never", "if-not-present"}

// image validates the keyword `image`.
func (c *checker) image(p *keyPath, n *node) *Image {
	return c.imageable(p, n)
}

// services validates the keyword `services`.
func (c *checker) services(p *keyPath, n *node) []Image {
	if !n.Is(yamltree.Sequence) {
		c.Fail(p, n, "write a list", "should be an array, not %s", yamltree.Describe(n))
		return nil
	}
	list := make([]Image, 0, len(n.Items))
	for _, item := range n.Flatten() {
		if item.IsNull() {
			continue
		}
		if image := c.imageable(p, item, "command", "alias", "variables"); image != nil {
			list = append(list, *image)
		}
	}
	return list
}

// imageable validates what images and services have in common; more are the keys that only services have.
func (c *checker) imageable(p *keyPath, n *node, more ...string) *Image {
	switch {
	case check.IsString(n):
		if n.IsBlank() {
			c.Fail(p.Child("name"), n, "", "the name of the image is empty")
		}
		return &Image{Name: n.Text}
	case !n.Is(yamltree.Mapping):
		c.Fail(p, n, "", "should be a string or a hash with name, not %s", yamltree.Describe(n))
		return nil
	}
	if n.Has("ports") {
		c.Fail(p, n.Key("ports"), "", "ports are only for the Web IDE's terminal")
	}
	c.RequiredString(p, n, "name")
	c.OptionalStrings(p, n, "entrypoint")
	c.executorOptions(p, n)
	c.AllowedKeys(p, n, append([]string{"docker", "kubernetes", "name", "entrypoint", "ports", "pull_policy"}, more...)...)
	image := &Image{Name: n.Get("name").RubyText(), Entrypoint: check.StringList(n.Get("entrypoint")),
		Docker: n.Get("docker").Any(), Kubernetes: n.Get("kubernetes").Any()}
	if len(more) > 0 {
		c.OptionalString(p, n, "alias")
	}
	if v := n.Get("pull_policy"); !v.IsNull() {
		image.PullPolicy = c.pullPolicy(p.Child("pull_policy"), v)
	}
	if len(more) > 0 {
		image.Alias = n.Get("alias").RubyText()
		if v := n.Get("variables"); !v.IsNull() {
			image.Variables = c.variables(p.Child("variables"), v, noData)
		}
		if v := n.Get("command"); !v.IsNull() {
			image.Command = c.commands(p.Child("command"), v)
		}
	}
	return image
}

// Limits of the options of executors.
const (
	maxPlatform = 64
	maxUser     = 255
)

func (c *checker) executorOptions(p *keyPath, n *node) {
	if v := n.Get("docker"); !v.IsNull() && c.Mapping(p, v) {
		c.AllowedKeys(p, v, "platform", "user")
		c.Text(p, v, "platform", maxPlatform)
		c.Text(p, v, "user", maxUser)
	}
	if v := n.Get("kubernetes"); !v.IsNull() && c.Mapping(p, v) {
		c.AllowedKeys(p, v, "user")
		if !v.Get("user").Is(yamltree.Int) {
			c.Text(p, v, "user", maxUser)
		}
	}
}

func (c *checker) pullPolicy(p *keyPath, n *node) []string {
	list := check.StringList(n)
	if !check.IsStringOrStrings(n) || len(list) == 0 || slices.ContainsFunc(list, func(s string) bool { return !slices.Contains(pullPolicies, s) }) {
		c.Fail(p, n, "one or more of "+join(pullPolicies), "%s is not a valid pull policy", yamltree.Describe(n))
		return nil
	}
	return list
}

// gitLab returns a string for an image that has only a name.
func (i *Image) gitLab() any {
	m := map[string]any{"name": i.Name}
	putList(m, "entrypoint", i.Entrypoint)
	putList(m, "command", i.Command)
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
