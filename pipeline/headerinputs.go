package pipeline

import (
	"encoding/json"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// inputs checks the values given to a file against its header and returns the values that blocks can use; nil if there are errors.
func (c *compiler) inputs(f *file, header, given *node) *node {
	if !given.IsNull() && given.Kind != yamltree.Mapping {
		c.Fail(check.NewPath("inputs"), given, "", "inputs should be a hash, not %s", yamltree.Describe(given))
		return nil
	}
	declared, wanted, ok := c.spec(f, header)
	if !ok {
		return nil
	}
	before := len(c.Problems)
	c.unknownInputs(f, declared, given)
	values := c.inputValues(declared, given)
	if len(c.Problems) > before {
		return nil
	}
	root := header.Position
	return yamltree.NewMapping([]yamltree.Pair{
		{Key: yamltree.NewString("inputs", root), Value: values},
		{Key: yamltree.NewString("component", root), Value: only(f.component, wanted, root)},
	}, root)
}

func only(n *node, keys []string, at yamltree.Position) *node {
	var pairs []yamltree.Pair
	for _, k := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		if n.Has(k) {
			pairs = append(pairs, yamltree.Pair{Key: yamltree.NewString(k, at), Value: n.Get(k)})
		}
	}
	return yamltree.NewMapping(pairs, at)
}

func (c *compiler) unknownInputs(f *file, declared, given *node) {
	if given.IsNull() {
		return
	}
	names := make([]string, len(declared.Pairs))
	for i, pair := range declared.Pairs {
		names[i] = pair.Key.Text
	}
	for _, pair := range given.Pairs {
		name := pair.Key.Text
		if declared.Has(name) {
			continue
		}
		hint := ""
		if similar := spelling.Closest(name, names); similar != "" {
			hint = "did you mean " + similar + "?"
		} else if len(names) > 0 {
			hint = "it has " + strings.Join(names, ", ")
		}
		c.Fail((check.NewPath("inputs")).Child(name), pair.Key, hint, "%s has no input %q", f.name, name)
	}
}

func (c *compiler) inputValues(declared, given *node) *node {
	values := make([]yamltree.Pair, 0, len(declared.Pairs))
	for _, pair := range declared.Pairs {
		in := declaredInput{checker: &c.checker, name: pair.Key.Text, spec: pair.Value, given: given.Get(pair.Key.Text), others: given,
			path: (check.NewPath("inputs")).Child(pair.Key.Text)}
		in.resolved = yamltree.NewMapping(slices.Clip(values), pair.Key.Position)
		if t := pair.Value.Get("type"); t != nil && t.IsNull() {
			c.Fail(in.path, t, "one of "+strings.Join(inputTypes, ", ")+"; or remove it", "the input %s has an empty type", in.name)
			continue
		}
		v := in.value()
		if v == nil {
			v = yamltree.NewScalar(yamltree.Null, "", pair.Key.Position)
		}
		// A block asks for a name that is a string: nothing reads the input 1.
		if pair.Key.Kind == yamltree.String {
			values = append(values, yamltree.Pair{Key: pair.Key, Value: v})
		}
	}
	return yamltree.NewMapping(values, declared.Position)
}

// A declaredInput is one input with the value that is given, if any.
type declaredInput struct {
	*checker
	name  string
	path  *keyPath
	spec  *node
	given *node
	// others are the given values of all inputs, resolved the values of the inputs before this one.
	others, resolved *node
}

func (in declaredInput) kind() string {
	if t := in.spec.Get("type"); !t.IsNull() {
		return t.Text
	}
	return "string"
}

// required reports whether an input has no default, neither of its own nor in its rules.
func (in declaredInput) required() bool {
	return !in.spec.Has("default") &&
		!slices.ContainsFunc(in.spec.Get("rules").Flatten(), func(r *node) bool { return r.Has("default") })
}

// value validates the default and the given value and returns the one that applies.
func (in declaredInput) value() *node {
	hasRules := in.spec.Is(yamltree.Mapping) && in.spec.Has("rules")
	given := in.given
	if hasRules && given.Is(yamltree.String) && given.Text == "" {
		given = nil
	}
	rule := in.matchingRule()
	required := in.required()
	if required && given.IsNull() {
		if place := in.others; !place.IsNull() && place.Position.File != "" {
			in.Fail(in.path, place, "add it to the inputs of the include", "the input %s has no default and is not given", in.name)
			return nil
		}
		in.FailCode(string(InputRequired), in.path, in.spec, "the input %s has no default and is not given", in.name)
		return nil
	}
	fallback := in.spec.Get("default")
	if r := rule.Get("default"); !r.IsNull() {
		fallback = r
	}
	if !required && !fallback.IsNull() {
		in.validate(in.coerce(fallback), rule, "the default of ")
	}
	if given.IsNull() {
		return in.coerce(fallback)
	}
	v := in.coerce(given)
	in.validate(v, rule, "")
	return v
}

// matchingRule returns the rule of `spec:inputs:rules` that applies, nil if none does.
func (in declaredInput) matchingRule() *node {
	for _, rule := range in.spec.Get("rules").Flatten() {
		condition := rule.Get("if")
		if condition.IsNull() {
			return rule
		}
		e, err := in.Parsed.Expression(condition.Text)
		if err == nil && e.True(expression.Scope{Input: in.inputValue}) {
			return rule
		}
	}
	return nil
}

func (in declaredInput) inputValue(name string) *node {
	if in.resolved.Has(name) {
		return in.resolved.Get(name)
	}
	return in.others.Get(name)
}

// coerce makes text of everything for a string, and what JSON makes of a text for the other types.
func (in declaredInput) coerce(n *node) *node {
	switch {
	case n.IsNull() && in.kind() == "string":
		return yamltree.NewString("", in.position(n))
	case n.IsNull():
		return n
	case in.kind() == "string":
		if n.Kind == yamltree.String {
			return n
		}
		return yamltree.NewString(n.RubyText(), n.Position)
	case n.Kind == yamltree.String:
		decoder := json.NewDecoder(strings.NewReader(n.Text))
		decoder.UseNumber()
		var v any
		if decoder.Decode(&v) != nil || decoder.More() {
			return n
		}
		if parsed, err := yamltree.FromAny(v, n.Position); err == nil {
			return parsed
		}
	}
	return n
}

func (in declaredInput) position(n *node) yamltree.Position {
	if n != nil {
		return n.Position
	}
	return in.spec.Position
}

func (in declaredInput) validate(v, rule *node, whose string) {
	kind := in.kind()
	if !hasType(v, kind) {
		in.Fail(in.path, v, "", "%sthe input %s should be %s, not %s", whose, in.name, aType(kind), yamltree.Describe(v))
	}
	in.validateOptions(v, rule, whose)
	regex := in.spec.Get("regex")
	if regex == nil {
		return
	}
	if kind != "string" {
		in.Fail(in.path, regex, "", "only inputs of the type string can have a regex")
		return
	}
	if regex.IsNull() {
		in.Fail(in.path, regex, "write a regex, or remove the key", "the regex of the input %s is empty", in.name)
		return
	}
	re, err := in.Parsed.Regex(regex.RubyText())
	if err != nil {
		in.Fail(in.path, regex, "write it without slashes, in RE2 syntax", "the regex is not valid: %v", err)
		return
	}
	if !re.MatchString(v.Text) {
		in.Fail(in.path, v, "", "%sthe input %s is %q, which does not match %s", whose, in.name, yamltree.Shorten(v.Text), regex.Text)
	}
}

func hasType(v *node, kind string) bool {
	switch kind {
	case "number":
		return v.Is(yamltree.Int) || v.Is(yamltree.Float)
	case "boolean":
		return v.Is(yamltree.Bool)
	case "array":
		return v.Is(yamltree.Sequence)
	}
	return true
}

func aType(kind string) string {
	if kind == "array" {
		return "an array"
	}
	return "a " + kind
}

func (in declaredInput) validateOptions(v, rule *node, whose string) {
	options := in.spec.Get("options")
	if o := rule.Get("options"); !o.IsNull() {
		options = o
	}
	if options.IsNull() {
		return
	}
	kind := in.kind()
	if kind != "string" && kind != "number" {
		in.Fail(in.path, options, "", "only inputs of the types string and number can have options")
		return
	}
	allowed := slices.ContainsFunc(options.Items, func(o *node) bool {
		if kind == "string" {
			return o.RubyText() == v.Text
		}
		return yamltree.Equal(o, v)
	})
	if !allowed && !v.IsNull() {
		texts := make([]string, len(options.Items))
		for i, o := range options.Items {
			texts[i] = o.RubyText()
		}
		in.Fail(in.path, v, "one of "+strings.Join(texts, ", "), "%sthe input %s cannot be %s", whose, in.name, yamltree.Describe(v))
	}
}
