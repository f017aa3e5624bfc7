package pipeline

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// elsewhere notes that what an entry of an include names cannot be had here. It may be all right on GitLab, so
// [Options.SkipMissing] can leave it out.
func (c *compiler) elsewhere(n *node, name, hint string, err error) {
	message := name + " is not here"
	if !errors.Is(err, errNoResolver) && !errors.Is(err, fs.ErrNotExist) {
		hint, message = "", fmt.Sprintf("%s cannot be had: %v", name, err)
	}
	if c.leftOut(includePath, n, message) {
		c.skipped = true
		return
	}
	c.fail(includePath, n, hint, "%s", message)
}

// leftOut asks whether something that is missing is left out.
func (c *compiler) leftOut(p *keyPath, n *node, message string) bool {
	skip := c.project.options.SkipMissing
	return skip != nil && skip(&Error{Position: at(n), Path: p.String(), Message: cut(message)})
}

// pruneExtends leaves out the templates of jobs that no file has.
func (c *compiler) pruneExtends(tree *node) *node {
	if !c.skipped {
		return tree
	}
	return c.eachJob(tree, func(p *keyPath, job *node) *node {
		if !isExtended(job) {
			return job
		}
		extends := job.Get("extends")
		var kept []*node
		for _, name := range parentNames(extends) {
			if !tree.Has(name) && c.leftOut(p.child("extends"), extends, "the job "+shorten(name)+" is not here") {
				continue
			}
			kept = append(kept, yamltree.NewString(name, extends.Position))
		}
		switch {
		case len(kept) == len(parentNames(extends)):
			return job
		case len(kept) == 0:
			return yamltree.Without(job, "extends")
		}
		return yamltree.With(job, "extends", yamltree.NewSequence(kept, extends.Position))
	})
}

// pruneReferences leaves out what no file has of what !reference names.
func (c *compiler) pruneReferences(tree *node) *node {
	if !c.skipped {
		return tree
	}
	return c.eachJob(tree, func(p *keyPath, job *node) *node { return c.withoutDangling(p, tree, job) })
}

func (c *compiler) withoutDangling(p *keyPath, tree, n *node) *node {
	dangling := func(child *node) bool {
		if !child.Is(yamltree.Reference) {
			return false
		}
		target := tree
		for _, item := range child.Items {
			if target.Is(yamltree.Reference) {
				return false // what that one gives is not known yet
			}
			if target = target.Get(item.Text); target == nil {
				break
			}
		}
		return target == nil && c.leftOut(p, child, "!reference ["+strings.Join(child.Strings(), ", ")+"] is not here")
	}
	switch {
	case n.Is(yamltree.Sequence):
		var items []*node
		for _, item := range n.Items {
			if !dangling(item) {
				items = append(items, c.withoutDangling(p, tree, item))
			}
		}
		return yamltree.NewSequence(items, n.Position)
	case n.Is(yamltree.Mapping):
		var pairs []yamltree.Pair
		for _, pair := range n.Pairs {
			if !dangling(pair.Value) {
				pairs = append(pairs, yamltree.Pair{Key: pair.Key, Value: c.withoutDangling(p, tree, pair.Value)})
			}
		}
		return yamltree.NewMapping(pairs, n.Position)
	}
	return n
}

// pruneJobs leaves out jobs whose script is elsewhere, then the needs of jobs that are not here.
func (c *compiler) pruneJobs(tree *node) *node {
	if !c.skipped {
		return tree
	}
	tree = c.eachJob(tree, func(p *keyPath, job *node) *node {
		if strings.HasPrefix(p.key, ".") || slices.ContainsFunc([]string{"script", "run", "trigger"}, job.Has) ||
			!c.leftOut(p, job, "what the job "+shorten(p.key)+" does is not here") {
			return job
		}
		return nil
	})
	return c.eachJob(tree, func(p *keyPath, job *node) *node {
		needs := job.Get("needs")
		if !needs.Is(yamltree.Sequence) {
			return job
		}
		var kept []*node
		for _, need := range needs.Items {
			name := need
			if need.Is(yamltree.Mapping) {
				name = need.Get("job")
			}
			foreign := need.Has("pipeline") || need.Has("project")
			if name.Is(yamltree.String) && !foreign && !hasJob(tree, name.Text) &&
				c.leftOut(p.child("needs"), need, "the job "+shorten(name.Text)+" is not here") {
				continue
			}
			kept = append(kept, need)
		}
		if len(kept) == len(needs.Items) {
			return job
		}
		return yamltree.With(job, "needs", yamltree.NewSequence(kept, needs.Position))
	})
}

// hasJob says whether there is a job of a name, or one whose parallel jobs have such names.
func hasJob(tree *node, name string) bool {
	if tree.Has(name) {
		return true
	}
	for i, r := range name {
		if (r == ' ' || r == ':') && tree.Has(name[:i]) {
			return true
		}
	}
	return false
}

// eachJob replaces the jobs of a configuration, hidden ones too; nil leaves one out.
func (c *compiler) eachJob(tree *node, change func(p *keyPath, job *node) *node) *node {
	var pairs []yamltree.Pair
	for _, pair := range tree.Pairs {
		name := pair.Key.Text
		if pair.Value.Is(yamltree.Mapping) && !slices.Contains(rootKeys, name) {
			if pair.Value = change(jobsPath.child(name), pair.Value); pair.Value == nil {
				continue
			}
		}
		pairs = append(pairs, pair)
	}
	return yamltree.NewMapping(pairs, tree.Position)
}
