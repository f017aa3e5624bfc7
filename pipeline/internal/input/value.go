package input

import (
	"encoding/json"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// Values returns the value of each declared input of a file: the given one, else the default. It validates both, and reports given
// inputs that are not declared. required is the code of the problem that an input without a default is not given, by the caller of
// the library and not by a file.
func Values(c *check.Checker, file string, declared, given *yamltree.Node, required string) *yamltree.Node {
	unknown(c, file, declared, given)
	values := make([]yamltree.Pair, 0, len(declared.Pairs))
	for _, pair := range declared.Pairs {
		in := reading{Declaration: Declaration{Name: pair.Key.Text, Spec: pair.Value}, Checker: c, given: given.Get(pair.Key.Text), others: given,
			path: check.NewPath("inputs").Child(pair.Key.Text), required: required}
		in.resolved = yamltree.NewMapping(slices.Clip(values), pair.Key.Position)
		if t := pair.Value.Get("type"); t != nil && t.IsNull() {
			c.Fail(in.path, t, "one of "+strings.Join(types, ", ")+"; or remove it", "the input %s has an empty type", in.Name)
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

func unknown(c *check.Checker, file string, declared, given *yamltree.Node) {
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
		c.Fail(check.NewPath("inputs").Child(name), pair.Key, hint, "%s has no input %q", file, name)
	}
}

// Value returns the value of one input that is given, and validates it.
func Value(c *check.Checker, d Declaration, given *yamltree.Node) *yamltree.Node {
	return reading{Declaration: d, Checker: c, path: check.NewPath("inputs").Child(d.Name), given: given}.value()
}

// ValidateDefault validates the default of an input that nothing is given for.
func ValidateDefault(c *check.Checker, p *check.Path, d Declaration) {
	reading{Declaration: d, Checker: c, path: p}.value()
}

// A reading is how the value of an input is found.
type reading struct {
	Declaration
	*check.Checker
	path  *check.Path
	given *yamltree.Node
	// others are the given values of all inputs, resolved the values of the inputs before this one.
	others, resolved *yamltree.Node
	// required is the code of the problem that a value is missing.
	required string
}

// value validates the default and the given value and returns the one that applies.
func (in reading) value() *yamltree.Node {
	hasRules := in.Spec.Is(yamltree.Mapping) && in.Spec.Has("rules")
	given := in.given
	if hasRules && given.Is(yamltree.String) && given.Text == "" {
		given = nil
	}
	rule := in.matchingRule()
	required := in.Required()
	if required && given.IsNull() {
		if place := in.others; !place.IsNull() && place.Position.File != "" {
			in.Fail(in.path, place, "add it to the inputs of the include", "the input %s has no default and is not given", in.Name)
			return nil
		}
		in.FailCode(in.required, in.path, in.Spec, "the input %s has no default and is not given", in.Name)
		return nil
	}
	fallback := in.Spec.Get("default")
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
func (in reading) matchingRule() *yamltree.Node {
	for _, rule := range in.Spec.Get("rules").Flatten() {
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

func (in reading) inputValue(name string) *yamltree.Node {
	if in.resolved.Has(name) {
		return in.resolved.Get(name)
	}
	return in.others.Get(name)
}

// coerce converts a value to the declared type: anything to a string, strings to the other types by parsing them as JSON.
func (in reading) coerce(n *yamltree.Node) *yamltree.Node {
	switch {
	case n.IsNull() && in.Type() == "string":
		return yamltree.NewString("", in.position(n))
	case n.IsNull():
		return n
	case in.Type() == "string":
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

func (in reading) position(n *yamltree.Node) yamltree.Position {
	if n != nil {
		return n.Position
	}
	return in.Spec.Position
}

func (in reading) validate(v, rule *yamltree.Node, whose string) {
	kind := in.Type()
	if !hasType(v, kind) {
		in.Fail(in.path, v, "", "%sthe input %s should be %s, not %s", whose, in.Name, withArticle(kind), yamltree.Describe(v))
	}
	in.validateOptions(v, rule, whose)
	regex := in.Spec.Get("regex")
	if regex == nil {
		return
	}
	if kind != "string" {
		in.Fail(in.path, regex, "", "only inputs of the type string can have a regex")
		return
	}
	if regex.IsNull() {
		in.Fail(in.path, regex, "write a regex, or remove the key", "the regex of the input %s is empty", in.Name)
		return
	}
	re, err := in.Parsed.Regex(regex.RubyText())
	if err != nil {
		in.Fail(in.path, regex, "write it without slashes, in RE2 syntax", "the regex is not valid: %v", err)
		return
	}
	if !re.MatchString(v.Text) {
		in.Fail(in.path, v, "", "%sthe input %s is %q, which does not match %s", whose, in.Name, yamltree.Shorten(v.Text), regex.Text)
	}
}

func hasType(v *yamltree.Node, kind string) bool {
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

// withArticle returns a type with its article: "an array".
func withArticle(kind string) string {
	if kind == "array" {
		return "an array"
	}
	return "a " + kind
}

func (in reading) validateOptions(v, rule *yamltree.Node, whose string) {
	options := in.Spec.Get("options")
	if o := rule.Get("options"); !o.IsNull() {
		options = o
	}
	if options.IsNull() {
		return
	}
	kind := in.Type()
	if kind != "string" && kind != "number" {
		in.Fail(in.path, options, "", "only inputs of the types string and number can have options")
		return
	}
	allowed := slices.ContainsFunc(options.Items, func(o *yamltree.Node) bool {
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
		in.Fail(in.path, v, "one of "+strings.Join(texts, ", "), "%sthe input %s cannot be %s", whose, in.Name, yamltree.Describe(v))
	}
}
