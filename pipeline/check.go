package pipeline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// node is a value of the configuration.
type node = yamltree.Node

// A keyPath is the path of keys to a value, as in "jobs:build:needs".
type keyPath struct {
	parent *keyPath
	key    string
}

func (p *keyPath) child(key string) *keyPath { return &keyPath{p, key} }

func (p *keyPath) String() string {
	if p == nil {
		return ""
	}
	if p.parent == nil {
		return p.key
	}
	return p.parent.String() + ":" + p.key
}

func at(n *node) Position {
	if n == nil {
		return Position{}
	}
	return Position(n.Position)
}

// A checker validates values in GitLab's order: what is wrong with a value itself, then with its parts.
type checker struct {
	cache  *cache
	errors Errors
	hints  map[Code]string
}

func (c *checker) fail(p *keyPath, n *node, hint, format string, args ...any) {
	c.errors = append(c.errors, &Error{Position: at(n), Path: p.String(), Message: cut(fmt.Sprintf(format, args...)), Hint: cut(hint)})
}

// failCode is fail for an error that the program may have a hint for.
func (c *checker) failCode(code Code, p *keyPath, n *node, format string, args ...any) {
	c.fail(p, n, cmp.Or(c.hints[code], defaultHints[code]), format, args...)
	c.errors[len(c.errors)-1].Code = code
}

// maxMessage is where a message ends that quotes too much of a configuration.
const maxMessage = 500

func cut(message string) string {
	if len(message) <= maxMessage {
		return message
	}
	return strings.ToValidUTF8(message[:maxMessage], "") + "..."
}

// mapping reports whether n is a mapping, and reports it if not.
func (c *checker) mapping(p *keyPath, n *node) bool {
	if n.Is(yamltree.Mapping) {
		return true
	}
	c.fail(p, n, "write keys and values", "should be a hash, not %s", yamltree.Describe(n))
	return false
}

// firstWrong returns the first item of a list that is not a string; n itself if there is none.
func firstWrong(n *node) *node {
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

// describeItems is describe for what should hold strings.
func describeItems(n *node) string {
	if wrong := firstWrong(n); wrong != n {
		return "one with " + yamltree.Describe(wrong)
	}
	if n.Is(yamltree.Sequence) && slices.ContainsFunc(n.Items, func(item *node) bool { return item.Kind == yamltree.Sequence }) {
		return "a nested array"
	}
	return yamltree.Describe(n)
}

// allowedKeys reports the unknown keys of a mapping.
func (c *checker) allowedKeys(p *keyPath, n *node, allowed ...string) bool {
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
		c.fail(p, pair.Key, hint, "unknown key %q", yamltree.Shorten(pair.Key.Text))
	}
	return ok
}

// misspelt finds the first key of a hash that is close to one of the words and no keyword of a job itself.
func misspelt(n *node, words ...string) (key, word string) {
	if !n.Is(yamltree.Mapping) {
		return "", ""
	}
	for _, pair := range n.Pairs {
		if word := spelling.Closest(pair.Key.Text, words); word != "" && !slices.Contains(keywordNames[inJob], pair.Key.Text) {
			return pair.Key.Text, word
		}
	}
	return "", ""
}

// exclusive reports keys that cannot be used together.
func (c *checker) exclusive(p *keyPath, n *node, keys ...string) {
	var present []string
	for _, k := range keys {
		if n.Has(k) {
			present = append(present, k)
		}
	}
	if len(present) > 1 {
		c.fail(p, n.Key(present[1]), "keep one of them", "%s cannot be used together", strings.Join(present, " and "))
	}
}

// requiredKeys reports keys that are missing.
func (c *checker) requiredKeys(p *keyPath, n *node, keys ...string) bool {
	ok := true
	for _, k := range keys {
		if !n.Has(k) {
			c.fail(p, n, "", "the key %s is missing", k)
			ok = false
		}
	}
	return ok
}

// The checks below take a key of a mapping; a null or missing value passes, as GitLab's allow_nil.

func (c *checker) optionalString(p *keyPath, n *node, key string) bool {
	return c.optional(p, n, key, isString, "a string", "put it in quotes")
}

func (c *checker) optionalBool(p *keyPath, n *node, key string) bool {
	hint := ""
	if n.Get(key).Is(yamltree.String) {
		hint = "without quotes"
	}
	return c.optional(p, n, key, func(v *node) bool { return v.Kind == yamltree.Bool }, "true or false", hint)
}

func (c *checker) optionalStrings(p *keyPath, n *node, key string) bool {
	return c.optional(p, n, key, isStrings, "an array of strings", "")
}

func (c *checker) optionalStringOrStrings(p *keyPath, n *node, key string) bool {
	return c.optional(p, n, key, isStringOrStrings, "a string or an array of strings", "")
}

func (c *checker) optional(p *keyPath, n *node, key string, ok func(*node) bool, what, hint string) bool {
	v := n.Get(key)
	if v.IsNull() || ok(v) {
		return true
	}
	c.fail(p.child(key), firstWrong(v), hint, "should be %s, not %s", what, describeItems(v))
	return false
}

// optionalOneOf wants a string of a list.
func (c *checker) optionalOneOf(p *keyPath, n *node, key string, values ...string) bool {
	v := n.Get(key)
	if v.IsNull() || isString(v) && slices.Contains(values, v.Text) {
		return true
	}
	c.fail(p.child(key), v, "one of "+strings.Join(values, ", "), "%s is not a value of %s", yamltree.Describe(v), key)
	return false
}

// requiredString wants a string that is not blank.
func (c *checker) requiredString(p *keyPath, n *node, key string) {
	v := n.Get(key)
	switch {
	case v.Is(yamltree.String) && !v.IsBlank():
	case v.IsBlank():
		c.fail(p.child(key), orElse(v, n), "", "%s is missing", key)
	default:
		c.fail(p.child(key), v, "put it in quotes", "should be a string, not %s", yamltree.Describe(v))
	}
}

// text wants a string of at least one character and at most limit, if the key is there. It reports the mapping, as
// GitLab does where a JSON schema decides.
func (c *checker) text(p *keyPath, n *node, key string, limit int) {
	v := n.Get(key)
	if v != nil && (v.Kind != yamltree.String || v.Text == "" || len([]rune(v.Text)) > limit) {
		c.fail(p, v, "", "%s should be a string of 1 to %d characters, not %s", key, limit, yamltree.Describe(v))
	}
}

func isStrings(n *node) bool {
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

func isStringOrStrings(n *node) bool { return n.Is(yamltree.String) || isStrings(n) }

// stringList returns the strings of a string or a list of strings.
func stringList(n *node) []string {
	switch {
	case n.Is(yamltree.String):
		return []string{n.Text}
	case n.Is(yamltree.Sequence):
		return n.Strings()
	}
	return nil
}

// isNestedList reports whether n is a list of items that are right, or of such lists, down to a number of levels.
func isNestedList(n *node, levels int, ok func(*node) bool) bool {
	if !n.Is(yamltree.Sequence) || levels == 0 {
		return false
	}
	for _, item := range n.Items {
		if item.Kind == yamltree.Sequence {
			if !isNestedList(item, levels-1, ok) {
				return false
			}
		} else if !ok(item) {
			return false
		}
	}
	return true
}

func isString(n *node) bool { return n.Is(yamltree.String) && !n.Symbol }

// isText accepts what GitLab's older checks take for a string: Ruby's symbols, too.
func isText(n *node) bool { return n.Is(yamltree.String) }

func isMapping(n *node) bool { return n.Is(yamltree.Mapping) }
func isInteger(n *node) bool { return n.Is(yamltree.Int) }
