package pipeline

import (
	"slices"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// Readers of the small keywords; the others have files of their own.

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
		c.fail(p, n, "without quotes", "should be true or false, not %s", yamltree.Describe(n))
		return nil
	}
	b := n.True()
	return &b
}

// coverage returns the pattern without its slashes.
func (c *checker) coverage(p *keyPath, n *node) string {
	const form = "write /pattern/ in RE2 syntax"
	if !isString(n) {
		c.fail(p, n, form, "should be a pattern, not %s", yamltree.Describe(n))
		return ""
	}
	_, isPattern, err := expression.Pattern(n.Text)
	switch {
	case !isPattern:
		c.fail(p, n, form, "%q is not a pattern between slashes", yamltree.Shorten(n.Text))
		return ""
	case err != nil:
		c.fail(p, n, form, "the pattern is not RE2 syntax: %v", err)
	}
	return n.Text[1 : len(n.Text)-1]
}

func (c *checker) extendsShape(p *keyPath, j *jobSpec) {
	c.optionalStringOrStrings(p, j.node, "extends")
}

func (c *checker) stageName(p *keyPath, n *node, j *jobSpec) {
	if !isString(n) {
		c.fail(p, n, "", "should be a string, not %s", yamltree.Describe(n))
	}
	j.Stage = n.RubyText()
}

func (c *checker) jobVariables(p *keyPath, n *node, j *jobSpec) {
	j.Variables = c.variables(p, n, jobData)
}

func (c *checker) when(p *keyPath, j *jobSpec) {
	values := []string{"on_success", "on_failure", "always", "manual", "delayed"}
	if j.kind == bridgeJob {
		values = values[:4]
	}
	c.optionalOneOf(p, j.node, "when", values...)
	j.When = When(j.node.Get("when").RubyText())
	j.AllowFailure = j.When == Manual // unless allow_failure is given
}

// jobDelay reads the keyword `start_in` of a job, which goes with `when: delayed`.
func (c *checker) jobDelay(p *keyPath, j *jobSpec) {
	n := j.node.Get("start_in")
	p = p.child("start_in")
	switch {
	case j.When == Delayed && j.node.Has("rules") && !n.IsBlank():
		if j.node.Get("rules").IsNull() { // else notWithRules has reported it
			c.fail(p, n, "remove rules", "start_in cannot be used with rules")
		}
	case j.When == Delayed:
		j.StartIn = c.startIn(p, j.node)
		j.StartInText = n.RubyText()
	case !n.IsBlank():
		c.fail(p, n, "add when: delayed", "start_in is for jobs with when: delayed")
	}
}

func (c *checker) allowFailureShape(p *keyPath, j *jobSpec) {
	if j.kind == bridgeJob {
		c.optionalBool(p, j.node, "allow_failure")
		return
	}
	c.optional(p, j.node, "allow_failure", func(v *node) bool { return isMapping(v) || v.Kind == yamltree.Bool }, "true, false or a hash", "")
}

// allowFailure reads the keyword `allow_failure` of a job: true, false, or the exit codes that are allowed.
func (c *checker) allowFailure(p *keyPath, n *node, j *jobSpec) {
	switch {
	case n.Kind == yamltree.Bool:
		j.AllowFailure = n.True()
	case isMapping(n) && j.kind == buildJob:
		c.allowedKeys(p, n, "exit_codes")
		j.AllowFailure, j.AllowFailureCriteria, j.AllowFailureExitCodes = false, true, c.exitCodes(p, n)
	}
}

func (c *checker) timeout(p *keyPath, n *node) time.Duration { return c.duration(p, n, maxTimeout) }

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

func (c *checker) inherit(p *keyPath, n *node, j *jobSpec) {
	if !c.mapping(p, n) {
		return
	}
	c.allowedKeys(p, n, "default", "variables")
	j.inherited.defaults = c.inheritFilter(p.child("default"), n.Get("default"), j.defaults.keys)
	j.inherited.variables = c.inheritFilter(p.child("variables"), n.Get("variables"), nil)
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
				c.fail(p, n, "allowed are "+join(allowed), "%q is not a keyword of default", name)
			}
		}
		return inheritFilter{named: true, names: names}
	}
	c.fail(p, n, "", "should be true, false or an array of names, not %s", yamltree.Describe(n))
	return inheritFilter{}
}
