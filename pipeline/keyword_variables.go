package pipeline

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// What may be said of a variable besides its value.
var (
	globalData = []string{"value", "description", "expand", "options"}
	jobData    = []string{"value", "expand"}
	noData     []string
)

// variables validates the keyword `variables` and returns them in order.
func (c *checker) variables(p *keyPath, n *node, data []string) []Variable {
	if !c.Mapping(p, n) {
		return nil
	}
	list := make([]Variable, 0, len(n.Pairs))
	for _, pair := range n.Pairs {
		if v, ok := c.variable(p.Child(pair.Key.Text), pair, data); ok {
			list = append(list, v)
		}
	}
	return list
}

func (c *checker) variable(p *keyPath, pair yamltree.Pair, data []string) (Variable, bool) {
	v := Variable{Key: pair.Key.Text}
	n := pair.Value
	if !check.IsTextOrInteger(pair.Key) {
		c.Fail(p, pair.Key, "put it in quotes", "%s is not a valid name of a variable", yamltree.Describe(pair.Key))
		return v, false
	}
	switch {
	case n.IsScalar():
		v.Value = n.Text
		return v, true
	case n.IsNull(): // GitLab takes it for an empty hash
		n = yamltree.NewMapping(nil, pair.Key.Position)
	case n.Kind != yamltree.Mapping:
		c.Fail(p, n, "write a string", "the value of a variable should be a string, not %s", yamltree.Describe(n))
		return v, false
	}
	before := len(c.Problems)
	value, expand, options := n.Get("value"), n.Get("expand"), n.Get("options")
	if !value.IsNull() && !value.IsScalar() {
		c.Fail(p, value, "", "the value of a variable should be a string, not %s", yamltree.Describe(value))
	}
	if d := n.Get("description"); !d.IsNull() && !check.IsTextOrInteger(d) {
		c.Fail(p, d, "", "a description should be a string, not %s", yamltree.Describe(d))
	}
	if !expand.IsNull() && expand.Kind != yamltree.Bool {
		c.Fail(p, expand, "write true or false without quotes", "expand should be true or false, not %s", yamltree.Describe(expand))
	}
	if !options.IsNull() && !check.IsStrings(options) {
		c.Fail(p, options, "", "options should be an array of strings, not %s", yamltree.Describe(options))
	}
	if len(data) == 0 {
		c.Fail(p, n, "write its value only", "a variable of a rule or a service should be a string")
	} else {
		c.AllowedKeys(p, n, data...)
	}
	if options.Is(yamltree.Sequence) && len(options.Items) > 0 &&
		!slices.ContainsFunc(options.Items, func(o *node) bool { return value.Is(yamltree.String) && o.Text == value.Text }) {
		c.Fail(p, options, "set value to one of them", "the value is not one of the options")
	}
	v.Value = value.RubyText()
	v.Raw = expand.Is(yamltree.Bool) && !expand.True()
	return v, len(c.Problems) == before
}
