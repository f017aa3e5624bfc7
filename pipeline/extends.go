package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// maxExtends is how many levels `extends` may go down from a job to a template that extends another one itself.
const maxExtends = 10

// extend merges the templates that jobs name in `extends` under them.
func (c *compiler) extend(tree *node) *node {
	e := extender{entries: make(map[string]*node, len(tree.Pairs)), results: make(map[string]extended)}
	for _, p := range tree.Pairs {
		e.entries[p.Key.Text] = p.Value
	}
	before, size := len(c.errors), 0
	pairs := make([]yamltree.Pair, len(tree.Pairs))
	for i, p := range tree.Pairs {
		pairs[i] = p
		if !isExtended(p.Value) {
			continue
		}
		value, _, wrong := e.extend(p.Key.Text, nil)
		if wrong != nil {
			if !c.alreadyFailed(wrong.at) {
				path := (&keyPath{key: "jobs"}).child(wrong.job).child("extends")
				c.fail(path, wrong.at, wrong.hint, "%s", wrong.message)
			}
			continue
		}
		pairs[i].Value = value
		if size += value.Size(); size > maxConfiguration {
			c.tooBig("extends", p.Key)
			break
		}
	}
	if len(c.errors) > before {
		return nil
	}
	return yamltree.NewMapping(pairs, tree.Position)
}

// alreadyFailed reports whether a place was complained of before: a broken template breaks all who extend it.
func (c *compiler) alreadyFailed(n *node) bool {
	if c.reported[n] {
		return true
	}
	if c.reported == nil {
		c.reported = make(map[*node]bool)
	}
	c.reported[n] = true
	return false
}

func isExtended(n *node) bool { return n.Is(yamltree.Mapping) && n.Has("extends") }

type extender struct {
	entries map[string]*node
	results map[string]extended
}

// extended is a job with its templates merged, and how many levels of templates that extend others are below it.
type extended struct {
	value  *node
	height int
}

type extendsError struct {
	job           string
	at            *node
	message, hint string
}

// extend returns an entry with its templates merged; ancestors are the entries that extend it, from the outermost.
func (e *extender) extend(name string, ancestors []string) (value *node, height int, wrong *extendsError) {
	value = e.entries[name]
	if !isExtended(value) {
		return value, 0, nil
	}
	names := value.Get("extends")
	fail := func(hint, format string, args ...any) *extendsError {
		return &extendsError{job: name, at: names, message: fmt.Sprintf(format, args...), hint: hint}
	}
	if slices.Contains(ancestors, name) {
		return nil, 0, fail("", "%s extends itself: %s", name, strings.Join(append(ancestors, name), " > "))
	}
	if known, ok := e.results[name]; ok && len(ancestors)+known.height-1 <= maxExtends {
		return known.value, known.height, nil
	}
	parents := parentNames(names)
	for _, parent := range parents {
		entry, ok := e.entries[parent]
		switch {
		case !ok:
			return nil, 0, fail(e.similar(parent), "there is no job %q", shorten(strings.TrimSuffix(parent, "\x00")))
		case entry.Kind != yamltree.Mapping:
			return nil, 0, fail("", "%q is no job but %s", parent, describe(entry))
		}
	}
	if len(ancestors) > maxExtends {
		return nil, 0, fail("", "more than %d levels of extends: %s", maxExtends+1, strings.Join(append(ancestors, name), " > "))
	}
	merged := yamltree.NewMapping(nil, value.Position)
	path := append(slices.Clip(ancestors), name)
	for _, parent := range parents {
		base, below, wrong := e.extend(parent, path)
		if wrong != nil {
			return nil, 0, wrong
		}
		merged = yamltree.Merge(merged, base)
		height = max(height, below)
	}
	result := extended{yamltree.Merge(merged, value), height + 1}
	e.results[name] = result
	return result.value, result.height, nil
}

func (e *extender) similar(name string) string {
	if similar := spelling.Closest(name, sortedKeys(e.entries)); similar != "" {
		return "did you mean " + similar + "?"
	}
	return "define it, or include the file that does"
}

// parentNames returns the names in `extends`; what is no name gives one that no job can have.
func parentNames(n *node) []string {
	items := []*node{n}
	switch n.Kind {
	case yamltree.Null:
		return nil
	case yamltree.Sequence:
		items = n.Items
	}
	names := make([]string, len(items))
	for i, item := range items {
		names[i] = item.Text
		if item.Kind != yamltree.String {
			names[i] = item.RubyText() + "\x00"
		}
	}
	return names
}
