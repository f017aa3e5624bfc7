package pipeline

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// The small keywords; the others have files of their own.

// maxTags is one less than the number of tags that GitLab refuses.
const maxTags = 49

func (c *checker) tags(p *keyPath, n *node) []string {
	if !isStrings(n) {
		c.fail(p, firstWrong(n), "write a list of strings", "should be an array of strings, not %s", describeItems(n))
		return nil
	}
	tags := n.Strings()
	if len(slices.Compact(slices.Sorted(slices.Values(tags)))) > maxTags {
		c.fail(p, n, "", "more than %d tags", maxTags)
	}
	return tags
}

func (c *checker) boolean(p *keyPath, n *node) *bool {
	if n.Kind != yamltree.Bool {
		c.fail(p, n, "without quotes", "should be true or false, not %s", describe(n))
		return nil
	}
	b := n.True()
	return &b
}

// coverage returns the pattern without its slashes.
func (c *checker) coverage(p *keyPath, n *node) string {
	const form = "write /pattern/ in RE2 syntax"
	if !isString(n) {
		c.fail(p, n, form, "should be a pattern, not %s", describe(n))
		return ""
	}
	_, isPattern, err := expression.Pattern(n.Text)
	switch {
	case !isPattern:
		c.fail(p, n, form, "%q is no pattern between slashes", shorten(n.Text))
		return ""
	case err != nil:
		c.fail(p, n, form, "the pattern is not RE2 syntax: %v", err)
	}
	return n.Text[1 : len(n.Text)-1]
}

// allowFailure reads the keyword `allow_failure` of a job: true, false, or exit codes. Of a hash nothing is allowed as such.
func (c *checker) allowFailure(p *keyPath, n *node) (allowed bool, codes []int) {
	if n.Kind == yamltree.Bool {
		return n.True(), nil
	}
	c.allowedKeys(p, n, "exit_codes")
	return false, c.exitCodes(p, n)
}

func (c *checker) idTokens(p *keyPath, n *node) any {
	if !c.mapping(p, n) {
		return nil
	}
	stored := make(map[string]any, len(n.Pairs))
	for _, pair := range n.Pairs {
		q := p.child(pair.Key.Text)
		if !pair.Value.IsNull() && !c.mapping(q, pair.Value) {
			continue
		}
		c.allowedKeys(q, pair.Value, "aud")
		if aud := pair.Value.Get("aud"); !isStringOrStrings(aud) {
			c.fail(q, orElse(aud, pair.Value), "add aud, the URL of who takes the token", "aud should be a string or an array of strings")
		}
		stored[pair.Key.Text] = storedKeys(pair.Value)
	}
	return stored
}

func (c *checker) pages(p *keyPath, n *node) any {
	if n.Kind == yamltree.Bool {
		return n.True()
	}
	if !c.mapping(p, n) {
		return nil
	}
	c.allowedKeys(p, n, "path_prefix", "expire_in", "publish")
	c.optionalString(p, n, "path_prefix")
	if v := n.Get("expire_in"); !v.IsNull() && len(usedVariables(v.RubyText())) == 0 {
		c.expiry(p.child("expire_in"), v)
	}
	c.optionalString(p, n, "publish")
	return storedKeys(n)
}

func (c *checker) autoCancel(p *keyPath, n *node) *AutoCancel {
	if !c.mapping(p, n) {
		return nil
	}
	c.allowedKeys(p, n, "on_new_commit", "on_job_failure")
	c.optionalOneOf(p, n, "on_new_commit", "none", "conservative", "interruptible")
	c.optionalOneOf(p, n, "on_job_failure", "none", "all")
	return &AutoCancel{OnNewCommit: n.Get("on_new_commit").RubyText(), OnJobFailure: n.Get("on_job_failure").RubyText()}
}

// An inheritance is the keyword `inherit`: what a job takes of the defaults and of the global variables.
type inheritance struct {
	defaults, variables inheritFilter
}

// An inheritFilter is all, nothing, or what is named.
type inheritFilter struct {
	nothing bool
	names   []string
	named   bool
}

func (t inheritFilter) allows(name string) bool {
	if t.named {
		return slices.Contains(t.names, name)
	}
	return !t.nothing
}

func (c *checker) inherit(p *keyPath, n *node) inheritance {
	var i inheritance
	if n.IsNull() || !c.mapping(p, n) {
		return i
	}
	c.allowedKeys(p, n, "default", "variables")
	i.defaults = c.inheritFilter(p.child("default"), n.Get("default"), defaultKeys)
	i.variables = c.inheritFilter(p.child("variables"), n.Get("variables"), nil)
	return i
}

func (c *checker) inheritFilter(p *keyPath, n *node, allowed []string) inheritFilter {
	switch {
	case n.IsNull():
		return inheritFilter{}
	case n.Kind == yamltree.Bool:
		return inheritFilter{nothing: !n.True()}
	case isStrings(n):
		names := n.Strings()
		for _, name := range names {
			if allowed != nil && !slices.Contains(allowed, name) {
				c.fail(p, n, "allowed are "+join(allowed), "%q is no default", name)
			}
		}
		return inheritFilter{named: true, names: names}
	}
	c.fail(p, n, "", "should be true, false or an array of names, not %s", describe(n))
	return inheritFilter{}
}
