package check

import (
	"cmp"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/parsed"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A Checker validates values in GitLab's order: what is wrong with a value itself, then with its parts.
type Checker struct {
	Problems []Problem
	// Parsed has the conditions and patterns that were parsed before.
	Parsed *parsed.Cache
}

// Fail reports the problem of a value, which may be nil.
func (c *Checker) Fail(p *Path, n *yamltree.Node, hint, format string, args ...any) {
	c.Problems = append(c.Problems, New(p.String(), n, hint, format, args...))
}

// FailCode is Fail for a problem with a code.
func (c *Checker) FailCode(code string, p *Path, n *yamltree.Node, format string, args ...any) {
	c.Fail(p, n, "", format, args...)
	c.Problems[len(c.Problems)-1].Code = code
}

// Mapping reports whether n is a mapping, and reports it if not.
func (c *Checker) Mapping(p *Path, n *yamltree.Node) bool {
	if n.Is(yamltree.Mapping) {
		return true
	}
	c.Fail(p, n, "write keys and values", "should be a hash, not %s", yamltree.Describe(n))
	return false
}

// FirstWrong returns the first item of a list that is not a string; n itself if there is none.
func FirstWrong(n *yamltree.Node) *yamltree.Node {
	if !n.Is(yamltree.Sequence) {
		return n
	}
	for _, item := range n.Flatten() {
		if item.Kind != yamltree.String {
			return item
		}
	}
	return n
}

// DescribeItems is describe for what should hold strings.
func DescribeItems(n *yamltree.Node) string {
	if wrong := FirstWrong(n); wrong != n {
		return "one with " + yamltree.Describe(wrong)
	}
	if n.Is(yamltree.Sequence) && slices.ContainsFunc(n.Items, func(item *yamltree.Node) bool { return item.Kind == yamltree.Sequence }) {
		return "a nested array"
	}
	return yamltree.Describe(n)
}

// AllowedKeys reports the unknown keys of a mapping.
func (c *Checker) AllowedKeys(p *Path, n *yamltree.Node, allowed ...string) bool {
	if !n.Is(yamltree.Mapping) {
		return true
	}
	ok := true
	for _, pair := range n.Pairs {
		if slices.Contains(allowed, pair.Key.Text) {
			continue
		}
		ok = false
		hint := "allowed are " + strings.Join(allowed, ", ")
		if similar := spelling.Closest(pair.Key.Text, allowed); similar != "" {
			hint = "did you mean " + similar + "?"
		}
		c.Fail(p, pair.Key, hint, "unknown key %q", yamltree.Shorten(pair.Key.Text))
	}
	return ok
}

// Exclusive reports keys that cannot be used together.
func (c *Checker) Exclusive(p *Path, n *yamltree.Node, keys ...string) {
	var present []string
	for _, k := range keys {
		if n.Has(k) {
			present = append(present, k)
		}
	}
	if len(present) > 1 {
		c.Fail(p, n.Key(present[1]), "keep one of them", "%s cannot be used together", strings.Join(present, " and "))
	}
}

// RequiredKeys reports keys that are missing.
func (c *Checker) RequiredKeys(p *Path, n *yamltree.Node, keys ...string) bool {
	ok := true
	for _, k := range keys {
		if !n.Has(k) {
			c.Fail(p, n, "", "the key %s is missing", k)
			ok = false
		}
	}
	return ok
}

// The checks below take a key of a mapping; a null or missing value passes, as GitLab's allow_nil.

func (c *Checker) OptionalString(p *Path, n *yamltree.Node, key string) bool {
	return c.Optional(p, n, key, IsString, "a string", "put it in quotes")
}

func (c *Checker) OptionalBool(p *Path, n *yamltree.Node, key string) bool {
	hint := ""
	if n.Get(key).Is(yamltree.String) {
		hint = "without quotes"
	}
	return c.Optional(p, n, key, func(v *yamltree.Node) bool { return v.Kind == yamltree.Bool }, "true or false", hint)
}

func (c *Checker) OptionalStrings(p *Path, n *yamltree.Node, key string) bool {
	return c.Optional(p, n, key, IsStrings, "an array of strings", "")
}

func (c *Checker) OptionalStringOrStrings(p *Path, n *yamltree.Node, key string) bool {
	return c.Optional(p, n, key, IsStringOrStrings, "a string or an array of strings", "")
}

func (c *Checker) Optional(p *Path, n *yamltree.Node, key string, ok func(*yamltree.Node) bool, what, hint string) bool {
	v := n.Get(key)
	if v.IsNull() || ok(v) {
		return true
	}
	c.Fail(p.Child(key), FirstWrong(v), hint, "should be %s, not %s", what, DescribeItems(v))
	return false
}

// OptionalOneOf wants a string of a list.
func (c *Checker) OptionalOneOf(p *Path, n *yamltree.Node, key string, values ...string) bool {
	v := n.Get(key)
	if v.IsNull() || IsString(v) && slices.Contains(values, v.Text) {
		return true
	}
	c.Fail(p.Child(key), v, "one of "+strings.Join(values, ", "), "%s is not a value of %s", yamltree.Describe(v), key)
	return false
}

// RequiredString wants a string that is not blank.
func (c *Checker) RequiredString(p *Path, n *yamltree.Node, key string) {
	v := n.Get(key)
	switch {
	case v.Is(yamltree.String) && !v.IsBlank():
	case v.IsBlank():
		c.Fail(p.Child(key), cmp.Or(v, n), "", "%s is missing", key)
	default:
		c.Fail(p.Child(key), v, "put it in quotes", "should be a string, not %s", yamltree.Describe(v))
	}
}

// Text wants a string of at least one character and at most limit, if the key is given. It reports the mapping, as
// GitLab does where a JSON schema decides.
func (c *Checker) Text(p *Path, n *yamltree.Node, key string, limit int) {
	v := n.Get(key)
	if v != nil && (v.Kind != yamltree.String || v.Text == "" || len([]rune(v.Text)) > limit) {
		c.Fail(p, v, "", "%s should be a string of 1 to %d characters, not %s", key, limit, yamltree.Describe(v))
	}
}

func IsStrings(n *yamltree.Node) bool {
	if !n.Is(yamltree.Sequence) {
		return false
	}
	for _, item := range n.Items {
		if item.Kind != yamltree.String {
			return false
		}
	}
	return true
}

func IsStringOrStrings(n *yamltree.Node) bool { return n.Is(yamltree.String) || IsStrings(n) }

// StringList returns the strings of a string or a list of strings.
func StringList(n *yamltree.Node) []string {
	switch {
	case n.Is(yamltree.String):
		return []string{n.Text}
	case n.Is(yamltree.Sequence):
		return n.Strings()
	}
	return nil
}

// IsNestedList reports whether n is a list of items that are right, or of such lists, down to a number of levels.
func IsNestedList(n *yamltree.Node, levels int, ok func(*yamltree.Node) bool) bool {
	if !n.Is(yamltree.Sequence) || levels == 0 {
		return false
	}
	for _, item := range n.Items {
		if item.Kind == yamltree.Sequence {
			if !IsNestedList(item, levels-1, ok) {
				return false
			}
		} else if !ok(item) {
			return false
		}
	}
	return true
}

func IsString(n *yamltree.Node) bool { return n.Is(yamltree.String) && !n.Symbol }

// IsText accepts what GitLab's older checks take for a string: Ruby's symbols, too.
func IsText(n *yamltree.Node) bool { return n.Is(yamltree.String) }

func IsMapping(n *yamltree.Node) bool { return n.Is(yamltree.Mapping) }
func IsInteger(n *yamltree.Node) bool { return n.Is(yamltree.Int) }

// IsTextOrInteger accepts what GitLab takes for the name or the value of a variable of `parallel:matrix`, and the like.
func IsTextOrInteger(n *yamltree.Node) bool { return IsText(n) || IsInteger(n) }

// Condition parses an `if`; nil if there is none.
func (c *Checker) Condition(p *Path, n *yamltree.Node) *expression.Expression {
	if n.IsNull() {
		return nil
	}
	if !IsString(n) {
		c.Fail(p.Child("if"), n, "put it in quotes", "a condition should be a string, not %s", yamltree.Describe(n))
		return nil
	}
	e, err := c.Parsed.Expression(n.Text)
	if err != nil {
		c.Fail(p.Child("if"), n, "", "%q is not a valid condition: %v", yamltree.Shorten(n.Text), err)
		return nil
	}
	return e
}
