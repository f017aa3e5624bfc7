package pipeline

import (
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// maxReferences is how deep references may go through references.
const maxReferences = 100

// resolveReferences puts in the place of each !reference [job, key] what it names.
func (c *compiler) resolveReferences(tree *node) *node {
	r := resolver{compiler: c, root: tree, done: make(map[*node]*node), active: make(map[*node]bool)}
	before := len(c.errors)
	out := r.resolve(tree)
	if len(c.errors) > before {
		return nil
	}
	if out.Size() > maxConfiguration {
		c.tooBig("reference", tree)
		return nil
	}
	return out
}

type resolver struct {
	*compiler
	root   *node
	done   map[*node]*node // what shared nodes resolve to
	active map[*node]bool  // references on the way to the present node
	depth  int
}

func (r *resolver) resolve(n *node) *node {
	switch n.Kind {
	case yamltree.Sequence, yamltree.Mapping, yamltree.Reference:
	default:
		return n
	}
	if known, ok := r.done[n]; ok {
		return known
	}
	var out *node
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

func (r *resolver) sequence(n *node) *node {
	items, changed := make([]*node, len(n.Items)), false
	for i, item := range n.Items {
		items[i] = r.resolve(item)
		changed = changed || items[i] != item
	}
	if !changed {
		return n
	}
	return yamltree.NewSequence(items, n.Position)
}

func (r *resolver) mapping(n *node) *node {
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

func (r *resolver) reference(n *node) *node {
	path := "!reference [" + strings.Join(n.Strings(), ", ") + "]"
	wrong := func(hint, format string, args ...any) *node {
		if !r.alreadyFailed(n) {
			r.fail(&keyPath{key: "reference"}, n, hint, format, args...)
		}
		return n
	}
	if len(n.Items) == 0 || !isStrings(&node{Kind: yamltree.Sequence, Items: n.Items}) {
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
