package pipeline

import (
	"cmp"
	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// functionName is the form of the names of steps, and of their inputs and variables.
var functionName = lazyregexp.New(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// run validates the keyword `run`: a list of steps, each a script or a reference to a function. GitLab has a JSON schema
// for it, so everything that is wrong is at the keyword itself.
func (c *checker) run(p *keyPath, n *node) any {
	if !n.Is(yamltree.Sequence) {
		c.Fail(p, n, "write a list", "should be an array of steps, not %s", yamltree.Describe(n))
		return nil
	}
	for _, step := range n.Items {
		if c.Mapping(p, step) {
			c.step(p, step)
		}
	}
	return n.Any()
}

func (c *checker) step(p *keyPath, n *node) {
	if name := n.Get("name"); !check.IsString(name) || !functionName().MatchString(name.Text) {
		c.Fail(p, cmp.Or(name, n), "give the step a name of letters, digits and _", "%s is not a valid name of a step", yamltree.Describe(name))
	}
	kinds := 0
	for _, kind := range []string{"step", "func", "script"} {
		if n.Has(kind) {
			kinds++
		}
	}
	if kinds != 1 {
		c.Fail(p, n, "", "a step needs exactly one of step, func and script")
		return
	}
	if env := n.Get("env"); env != nil && c.functionNames(p, env) {
		c.stringValues(p, env)
	}
	if n.Has("script") {
		c.AllowedKeys(p, n, "name", "env", "script")
		if script := n.Get("script"); !check.IsString(script) || script.Text == "" {
			c.Fail(p, script, "write one string", "the script of a step should be a string, not %s", yamltree.Describe(script))
		}
		return
	}
	c.AllowedKeys(p, n, "name", "env", "inputs", "step", "func")
	if inputs := n.Get("inputs"); inputs != nil {
		c.functionNames(p, inputs)
	}
	c.functionReference(p, cmp.Or(n.Get("step"), n.Get("func")))
}

// functionNames wants a hash whose keys are names; false if it is none.
func (c *checker) functionNames(p *keyPath, n *node) bool {
	if !c.Mapping(p, n) {
		return false
	}
	for _, pair := range n.Pairs {
		if !functionName().MatchString(pair.Key.Text) {
			c.Fail(p, pair.Key, "use letters, digits and _", "%q is not a valid name", yamltree.Shorten(pair.Key.Text))
		}
	}
	return true
}

func (c *checker) stringValues(p *keyPath, n *node) {
	for _, pair := range n.Pairs {
		if !check.IsString(pair.Value) {
			c.Fail(p, pair.Value, "put it in quotes", "%s should be a string, not %s", pair.Key.Text, yamltree.Describe(pair.Value))
		}
	}
}

// functionReference validates where a function is: a string, a place in a git repository or in a registry.
func (c *checker) functionReference(p *keyPath, n *node) {
	if check.IsString(n) {
		return
	}
	if !check.IsMapping(n) || len(n.Pairs) != 1 || !n.Has("git") && !n.Has("oci") {
		c.Fail(p, n, "write a string, or a hash with git or oci", "%s is not a valid reference to a function", yamltree.Describe(n))
		return
	}
	place, required, keys := n.Get("git"), []string{"url", "rev"}, []string{"url", "rev", "dir", "file"}
	if n.Has("oci") {
		place, required, keys = n.Get("oci"), []string{"registry", "repository", "tag"}, []string{"registry", "repository", "tag", "dir", "file"}
	}
	if !c.Mapping(p, place) {
		return
	}
	c.AllowedKeys(p, place, keys...)
	c.RequiredKeys(p, place, required...)
	c.stringValues(p, place)
}
