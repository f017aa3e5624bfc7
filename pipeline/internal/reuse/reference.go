package reuse

import (
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// maxReferences is how deep references may go through references.
const maxReferences = 100

// References replaces each !reference [job, key] with what it names.
func References(tree *yamltree.Node) (*yamltree.Node, []check.Problem) {
	r := referenceResolver{
		root: tree, done: make(map[*yamltree.Node]*yamltree.Node), active: make(map[*yamltree.Node]bool), reported: make(map[*yamltree.Node]bool),
	}
	out := r.resolve(tree)
	if len(r.problems) == 0 && out.Size() > MaxSize {
		r.problems = []check.Problem{TooBig("reference", tree)}
	}
	return out, r.problems
}

type referenceResolver struct {
	root   *yamltree.Node
	done   map[*yamltree.Node]*yamltree.Node // what shared nodes resolve to
	active map[*yamltree.Node]bool           // references on the way to the present node
	depth  int

	reported map[*yamltree.Node]bool
	problems []check.Problem
}

func (r *referenceResolver) resolve(n *yamltree.Node) *yamltree.Node {
	switch n.Kind {
	case yamltree.Sequence, yamltree.Mapping, yamltree.Reference:
	default:
		return n
	}
	if known, ok := r.done[n]; ok {
		return known
	}
	var out *yamltree.Node
	switch n.Kind {
	case yamltree.Reference:
		out = r.reference(n)
	case yamltree.Sequence:
		out = r.sequence(n)
	default:
		out = r.mapping(n)
	}
	r.done[n] = out
	return out
}

func (r *referenceResolver) sequence(n *yamltree.Node) *yamltree.Node {
	items, changed := make([]*yamltree.Node, len(n.Items)), false
	for i, item := range n.Items {
		items[i] = r.resolve(item)
		changed = changed || items[i] != item
	}
	if !changed {
		return n
	}
	return yamltree.NewSequence(items, n.Position)
}

func (r *referenceResolver) mapping(n *yamltree.Node) *yamltree.Node {
	pairs, changed := make([]yamltree.Pair, len(n.Pairs)), false
	for i, p := range n.Pairs {
		pairs[i] = yamltree.Pair{Key: p.Key, Value: r.resolve(p.Value)}
		changed = changed || pairs[i].Value != p.Value
	}
	if !changed {
		return n
	}
	return yamltree.NewMapping(pairs, n.Position)
}

func (r *referenceResolver) reference(n *yamltree.Node) *yamltree.Node {
	path := "!reference [" + strings.Join(n.Strings(), ", ") + "]"
	wrong := func(hint, format string, args ...any) *yamltree.Node {
		if !r.reported[n] {
			r.reported[n] = true
			r.problems = append(r.problems, check.New("reference", n, hint, format, args...))
		}
		return n
	}
	if len(n.Items) == 0 || slices.ContainsFunc(n.Items, func(item *yamltree.Node) bool { return item.Kind != yamltree.String }) {
		return wrong("write !reference [job, key]", "%s is not a list of names", path)
	}
	if r.active[n] || r.depth > maxReferences {
		return wrong("", "%s refers to itself", path)
	}
	target := r.root
	for _, item := range n.Items {
		if target = target.Get(item.Text); target == nil {
			return wrong("", "%s: there is no %s", path, item.Text)
		}
	}
	r.active[n] = true
	r.depth++
	out := r.resolve(target)
	r.depth--
	delete(r.active, n)
	// GitLab takes a value that Ruby takes for false as missing.
	if out.IsNull() || out.Is(yamltree.Bool) && !out.True() {
		return wrong("", "%s has no value", path)
	}
	return out
}
