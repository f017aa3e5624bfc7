// Package reuse resolves what a configuration writes once and uses in several places: the templates of `extends`, and what
// `!reference` names. It knows jobs by their names only.
package reuse

import (
	"maps"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// MaxSize is how many values a configuration may have once it is merged.
const MaxSize = 1 << 20

// TooBig is the problem of a configuration that a step makes bigger than [MaxSize].
func TooBig(path string, at *yamltree.Node) check.Problem {
	return check.New(path, at, "", "the configuration is too big: more than %d values", MaxSize)
}

// maxExtends is how many levels `extends` may go down from a job to a template that extends another one itself.
const maxExtends = 10

// Extend merges the templates that entries name in `extends` under them. A template with a problem is reported once, however many
// entries extend it. There is no result if there are problems.
func Extend(tree *yamltree.Node) (*yamltree.Node, []check.Problem) {
	e := extender{entries: make(map[string]*yamltree.Node, len(tree.Pairs)), results: make(map[string]extended)}
	for _, p := range tree.Pairs {
		e.entries[p.Key.Text] = p.Value
	}
	var problems []check.Problem
	reported, size := make(map[*yamltree.Node]bool), 0
	pairs := make([]yamltree.Pair, len(tree.Pairs))
	for i, p := range tree.Pairs {
		pairs[i] = p
		if !IsExtended(p.Value) {
			continue
		}
		value, _, wrong := e.extend(p.Key.Text, nil)
		if wrong != nil {
			if !reported[wrong.at] {
				reported[wrong.at] = true
				problems = append(problems, wrong.Problem)
			}
			continue
		}
		pairs[i].Value = value
		if size += value.Size(); size > MaxSize {
			problems = append(problems, TooBig("extends", p.Key))
			break
		}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	return yamltree.NewMapping(pairs, tree.Position), nil
}

// IsExtended reports whether an entry extends others.
func IsExtended(n *yamltree.Node) bool { return n.Is(yamltree.Mapping) && n.Has("extends") }

type extender struct {
	entries map[string]*yamltree.Node
	results map[string]extended
}

// extended is a job with its templates merged, and how many levels of templates that extend others are below it.
type extended struct {
	value  *yamltree.Node
	height int
}

// A problem is that of an `extends`, with its value.
type problem struct {
	check.Problem
	at *yamltree.Node
}

// extend returns an entry with its templates merged; ancestors are the entries that extend it, from the outermost.
func (e *extender) extend(name string, ancestors []string) (value *yamltree.Node, height int, wrong *problem) {
	value = e.entries[name]
	if !IsExtended(value) {
		return value, 0, nil
	}
	names := value.Get("extends")
	fail := func(hint, format string, args ...any) *problem {
		return &problem{check.New("jobs:"+name+":extends", names, hint, format, args...), names}
	}
	if slices.Contains(ancestors, name) {
		return nil, 0, fail("", "%s extends itself: %s", name, strings.Join(append(ancestors, name), " > "))
	}
	if known, ok := e.results[name]; ok && len(ancestors)+known.height-1 <= maxExtends {
		return known.value, known.height, nil
	}
	parents := Parents(names)
	for _, parent := range parents {
		entry, ok := e.entries[parent]
		switch {
		case !ok:
			return nil, 0, fail(e.similar(parent), "there is no job %q", yamltree.Shorten(strings.TrimSuffix(parent, "\x00")))
		case entry.Kind != yamltree.Mapping:
			return nil, 0, fail("", "%q is not a job but %s", parent, yamltree.Describe(entry))
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
	if similar := spelling.Closest(name, slices.Sorted(maps.Keys(e.entries))); similar != "" {
		return "did you mean " + similar + "?"
	}
	return "define it, or include the file that does"
}

// Parents returns the names in `extends`. For a value that is not a name it returns one that no job can have.
func Parents(n *yamltree.Node) []string {
	items := []*yamltree.Node{n}
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
