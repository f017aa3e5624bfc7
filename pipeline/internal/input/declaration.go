// Package input validates the inputs that a file (`spec:inputs`) or a job declares, and the values that they are given.
package input

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

const maxOptions = 50

var types = []string{"array", "boolean", "number", "string"}

// A Declaration is what a file or a job says of one of its inputs.
type Declaration struct {
	Name string
	Spec *yamltree.Node
}

// Type returns the type of the values, which is "string" where none is given.
func (d Declaration) Type() string {
	if t := d.Spec.Get("type"); !t.IsNull() {
		return t.Text
	}
	return "string"
}

// Required reports whether the input has no default, neither of its own nor in its rules.
func (d Declaration) Required() bool {
	return !d.Spec.Has("default") &&
		!slices.ContainsFunc(d.Spec.Get("rules").Flatten(), func(r *yamltree.Node) bool { return r.Has("default") })
}

// ValidateAll checks the declarations of `spec:inputs`. That a rule may ask for an input that is not declared is GitLab's: such
// an input has no value.
func ValidateAll(c *check.Checker, p *check.Path, inputs *yamltree.Node) {
	for _, pair := range inputs.Pairs {
		q := p.Child(pair.Key.Text)
		if !check.IsTextOrInteger(pair.Key) {
			c.Fail(q, pair.Key, "put it in quotes", "%s is not a valid name of an input", yamltree.Describe(pair.Key))
		}
		if !pair.Value.IsNull() {
			Validate(c, q, pair.Value, "rules")
		}
	}
}

// Validate checks an input of `spec:inputs` or, without rules, of a job.
func Validate(c *check.Checker, p *check.Path, n *yamltree.Node, more ...string) {
	if !n.Is(yamltree.Mapping) {
		c.Mapping(p, n)
		return
	}
	c.Optional(p, n, "description", func(v *yamltree.Node) bool { return check.IsString(v) || check.IsInteger(v) }, "a string", "")
	c.OptionalString(p, n, "regex")
	c.OptionalOneOf(p, n, "type", types...)
	if c.Optional(p, n, "options", func(v *yamltree.Node) bool { return v.Kind == yamltree.Sequence }, "an array", "") {
		options := n.Get("options")
		if options.Is(yamltree.Sequence) {
			if len(options.Items) > maxOptions {
				c.Fail(p, options, "", "more than %d options", maxOptions)
			}
			if slices.ContainsFunc(options.Items, (*yamltree.Node).IsNull) {
				c.Fail(p, options, "", "an option is null")
			}
		}
	}
	c.AllowedKeys(p, n, append([]string{"default", "description", "options", "regex", "type"}, more...)...)
	if slices.Contains(more, "rules") {
		c.Exclusive(p, n, "rules", "options")
		c.Exclusive(p, n, "rules", "default")
		if rules := n.Get("rules"); !rules.IsNull() {
			validateRules(c, p, rules)
		}
	}
}

func validateRules(c *check.Checker, p *check.Path, rules *yamltree.Node) {
	if !rules.Is(yamltree.Sequence) {
		c.Fail(p, rules, "", "rules should be an array of rules, not %s", yamltree.Describe(rules))
		return
	}
	p = check.NewPath("inputs").Child(p.Key()) // GitLab says of its rules that the input is wrong
	for _, rule := range rules.Items {
		if !rule.Is(yamltree.Mapping) || len(rule.Pairs) == 0 {
			c.Fail(p, rule, "", "a rule should be a hash, not %s", yamltree.Describe(rule))
			continue
		}
		c.AllowedKeys(p, rule, "if", "options", "default")
		c.Condition(p, rule.Get("if"))
		options, hasDefault := rule.Get("options"), rule.Has("default")
		switch {
		case !options.IsNull() && options.Kind != yamltree.Sequence:
			c.Fail(p, options, "", "options should be an array, not %s", yamltree.Describe(options))
		case options != nil && len(options.Items) > maxOptions:
			c.Fail(p, options, "", "more than %d options", maxOptions)
		case !hasDefault:
			c.Fail(p, rule, "add default", "a rule of an input needs options and a default")
		case !options.IsBlank() && !slices.ContainsFunc(options.Items, func(o *yamltree.Node) bool { return yamltree.Equal(o, rule.Get("default")) }):
			c.Fail(p, rule.Get("default"), "add it to the options", "the default is not one of the options")
		}
	}
}
