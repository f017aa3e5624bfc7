package pipeline

import (
	"cmp"
	"slices"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// Readers of the small keywords; the others have separate files.

// maxTags is one less than the number of tags that GitLab refuses.
const maxTags = 49

func (c *checker) tags(p *keyPath, n *node) []string {
	if !check.IsStrings(n) {
		c.Fail(p, check.FirstWrong(n), "write a list of strings", "should be an array of strings, not %s", check.DescribeItems(n))
		return nil
	}
	tags := n.Strings()
	if len(slices.Compact(slices.Sorted(slices.Values(tags)))) > maxTags {
		c.Fail(p, n, "", "more than %d tags", maxTags)
	}
	return tags
}

func (c *checker) boolean(p *keyPath, n *node) *bool {
	if n.Kind != yamltree.Bool {
		c.Fail(p, n, "without quotes", "should be true or false, not %s", yamltree.Describe(n))
		return nil
	}
	b := n.True()
	return &b
}

// coverage returns the pattern without its slashes.
func (c *checker) coverage(p *keyPath, n *node) string {
	const form = "write /pattern/ in RE2 syntax"
	if !check.IsString(n) {
		c.Fail(p, n, form, "should be a pattern, not %s", yamltree.Describe(n))
		return ""
	}
	_, isPattern, err := expression.Pattern(n.Text)
	switch {
	case !isPattern:
		c.Fail(p, n, form, "%q is not a pattern between slashes", yamltree.Shorten(n.Text))
		return ""
	case err != nil:
		c.Fail(p, n, form, "the pattern is not RE2 syntax: %v", err)
	}
	return n.Text[1 : len(n.Text)-1]
}

func (c *checker) extendsShape(p *keyPath, j *jobSpec) {
	c.OptionalStringOrStrings(p, j.node, "extends")
}

func (c *checker) stageName(p *keyPath, n *node, j *jobSpec) {
	if !check.IsString(n) {
		c.Fail(p, n, "", "should be a string, not %s", yamltree.Describe(n))
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
	c.OptionalOneOf(p, j.node, "when", values...)
	j.When = When(j.node.Get("when").RubyText())
	j.AllowFailure = j.When == Manual // unless allow_failure is given
}

// jobDelay reads the keyword `start_in` of a job, which goes with `when: delayed`.
func (c *checker) jobDelay(p *keyPath, j *jobSpec) {
	n := j.node.Get("start_in")
	p = p.Child("start_in")
	switch {
	case j.When == Delayed && j.node.Has("rules") && !n.IsBlank():
		if j.node.Get("rules").IsNull() { // else notWithRules has reported it
			c.Fail(p, n, "remove rules", "start_in cannot be used with rules")
		}
	case j.When == Delayed:
		j.StartIn = c.startIn(p, j.node)
		j.StartInText = n.RubyText()
	case !n.IsBlank():
		c.Fail(p, n, "add when: delayed", "start_in is for jobs with when: delayed")
	}
}

func (c *checker) allowFailureShape(p *keyPath, j *jobSpec) {
	if j.kind == bridgeJob {
		c.OptionalBool(p, j.node, "allow_failure")
		return
	}
	c.Optional(p, j.node, "allow_failure", func(v *node) bool { return check.IsMapping(v) || v.Kind == yamltree.Bool }, "true, false or a hash", "")
}

// allowFailure reads the keyword `allow_failure` of a job: true, false, or the exit codes that are allowed.
func (c *checker) allowFailure(p *keyPath, n *node, j *jobSpec) {
	switch {
	case n.Kind == yamltree.Bool:
		j.AllowFailure = n.True()
	case check.IsMapping(n) && j.kind == buildJob:
		c.AllowedKeys(p, n, "exit_codes")
		j.AllowFailure, j.AllowFailureCriteria, j.AllowFailureExitCodes = false, true, c.exitCodes(p, n)
	}
}

func (c *checker) timeout(p *keyPath, n *node) time.Duration { return c.duration(p, n, maxTimeout) }

func (c *checker) idTokens(p *keyPath, n *node) any {
	if !c.Mapping(p, n) {
		return nil
	}
	stored := make(map[string]any, len(n.Pairs))
	for _, pair := range n.Pairs {
		q := p.Child(pair.Key.Text)
		if !pair.Value.IsNull() && !c.Mapping(q, pair.Value) {
			continue
		}
		c.AllowedKeys(q, pair.Value, "aud")
		if aud := pair.Value.Get("aud"); !check.IsStringOrStrings(aud) {
			c.Fail(q, cmp.Or(aud, pair.Value), "add aud, the URL of who takes the token", "aud should be a string or an array of strings")
		}
		stored[pair.Key.Text] = storedKeys(pair.Value)
	}
	return stored
}

func (c *checker) pages(p *keyPath, n *node) any {
	if n.Kind == yamltree.Bool {
		return n.True()
	}
	if !c.Mapping(p, n) {
		return nil
	}
	c.AllowedKeys(p, n, "path_prefix", "expire_in", "publish")
	c.OptionalString(p, n, "path_prefix")
	if v := n.Get("expire_in"); !v.IsNull() && len(variable.Names(v.RubyText())) == 0 {
		c.expiry(p.Child("expire_in"), v)
	}
	c.OptionalString(p, n, "publish")
	return storedKeys(n)
}

func (c *checker) autoCancel(p *keyPath, n *node) *AutoCancel {
	if !c.Mapping(p, n) {
		return nil
	}
	c.AllowedKeys(p, n, "on_new_commit", "on_job_failure")
	c.OptionalOneOf(p, n, "on_new_commit", "none", "conservative", "interruptible")
	c.OptionalOneOf(p, n, "on_job_failure", "none", "all")
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
	if !c.Mapping(p, n) {
		return
	}
	c.AllowedKeys(p, n, "default", "variables")
	j.inherited.defaults = c.inheritFilter(p.Child("default"), n.Get("default"), j.defaults.keys)
	j.inherited.variables = c.inheritFilter(p.Child("variables"), n.Get("variables"), nil)
}

func (c *checker) inheritFilter(p *keyPath, n *node, allowed []string) inheritFilter {
	switch {
	case n.IsNull():
		return inheritFilter{}
	case n.Kind == yamltree.Bool:
		return inheritFilter{nothing: !n.True()}
	case check.IsStrings(n):
		names := n.Strings()
		for _, name := range names {
			if allowed != nil && !slices.Contains(allowed, name) {
				c.Fail(p, n, "allowed are "+join(allowed), "%q is not a keyword of default", name)
			}
		}
		return inheritFilter{named: true, names: names}
	}
	c.Fail(p, n, "", "should be true, false or an array of names, not %s", yamltree.Describe(n))
	return inheritFilter{}
}
