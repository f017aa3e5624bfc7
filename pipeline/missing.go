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
func (c *compiler) elsewhere(n *node, name string, kind MissingKind, err error) {
	message := name + " is not here"
	if !errors.Is(err, errNoResolver) && !errors.Is(err, fs.ErrNotExist) {
		message = fmt.Sprintf("%s is unavailable: %v", name, err)
	}
	if c.leftOut(includePath, n, message) {
		c.incomplete = true
		return
	}
	c.fail(includePath, n, "", "%s", message)
	c.errors[len(c.errors)-1].Missing = kind
}

// leftOut asks whether something that is missing is left out.
func (c *compiler) leftOut(p *keyPath, n *node, message string) bool {
	skip := c.project.options.SkipMissing
	return skip != nil && skip(&Error{Position: at(n), Path: p.String(), Message: cut(message)})
}

// ifIncomplete is a step of the compilation that is taken only if an include was left out.
func (c *compiler) ifIncomplete(step func(*node) *node) func(*node) *node {
	return func(tree *node) *node {
		if !c.incomplete {
			return tree
		}
		return step(tree)
	}
}

// pruneExtends leaves out the templates of jobs that no file has.
func (c *compiler) pruneExtends(tree *node) *node {
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

// pruneReferences leaves out what no file has of what !reference names, until no reference leads to what was left out.
func (c *compiler) pruneReferences(tree *node) *node {
	for {
		pruned := c.withoutDangling(tree)
		if pruned.Size() == tree.Size() {
			return pruned
		}
		tree = pruned
	}
}

func (c *compiler) withoutDangling(tree *node) *node {
	var pairs []yamltree.Pair
	for _, pair := range tree.Pairs {
		name := pair.Key.Text
		p, isJob := jobsPath.child(name), !slices.Contains(rootKeys, name)
		if !isJob {
			p = &keyPath{key: name}
		}
		value := c.pruneDangling(p, tree, pair.Value)
		if value == nil && isJob && pair.Value.Is(yamltree.Mapping) && !strings.HasPrefix(name, ".") {
			value = yamltree.NewMapping(nil, pair.Value.Position) // pruneJobs tells of the job
		}
		if value != nil {
			pairs = append(pairs, yamltree.Pair{Key: pair.Key, Value: value})
		}
	}
	return yamltree.NewMapping(pairs, tree.Position)
}

// pruneDangling gives a value without the references that lead nowhere, nil if it has nothing else: an empty list of
// commands or rules would be an error.
func (c *compiler) pruneDangling(p *keyPath, tree, n *node) *node {
	switch n.Kind {
	case yamltree.Reference:
		if dangles(tree, n) && c.leftOut(p, n, "!reference ["+strings.Join(n.Strings(), ", ")+"] is not here") {
			return nil
		}
	case yamltree.Sequence:
		items := make([]*node, 0, len(n.Items))
		for _, item := range n.Items {
			if item = c.pruneDangling(p, tree, item); item != nil {
				items = append(items, item)
			}
		}
		if len(items) == 0 && len(n.Items) > 0 {
			return nil
		}
		return yamltree.NewSequence(items, n.Position)
	case yamltree.Mapping:
		pairs := make([]yamltree.Pair, 0, len(n.Pairs))
		for _, pair := range n.Pairs {
			if pair.Value = c.pruneDangling(p.child(pair.Key.Text), tree, pair.Value); pair.Value != nil {
				pairs = append(pairs, pair)
			}
		}
		if len(pairs) == 0 && len(n.Pairs) > 0 {
			return nil
		}
		return yamltree.NewMapping(pairs, n.Position)
	}
	return n
}

// dangles says whether nothing in the tree is what a reference names. What stands behind another reference is not known yet.
func dangles(tree, reference *node) bool {
	target := tree
	for _, item := range reference.Items {
		if target.Is(yamltree.Reference) {
			return false
		}
		if target = target.Get(item.Text); target == nil {
			return true
		}
	}
	return false
}

// pruneJobs leaves out jobs whose script is elsewhere, then what names jobs that are not here.
func (c *compiler) pruneJobs(tree *node) *node {
	tree = c.eachJob(tree, func(p *keyPath, job *node) *node {
		if strings.HasPrefix(p.key, ".") || saysWhatToDo(job) || !c.leftOut(p, job, "what the job "+shorten(p.key)+" does is not here") {
			return job
		}
		return nil
	})
	return c.eachJob(tree, func(p *keyPath, job *node) *node {
		job = c.pruneNames(p.child("needs"), tree, job, "needs")
		job = c.pruneNames(p.child("dependencies"), tree, job, "dependencies")
		job = c.pruneOnStop(p.child("environment").child("on_stop"), tree, job)
		return c.pruneRules(p.child("rules").child("needs"), tree, job)
	})
}

// saysWhatToDo says whether a job runs something, starts a pipeline or mirrors one.
func saysWhatToDo(job *node) bool {
	return slices.ContainsFunc([]string{"script", "run", "trigger"}, job.Has) ||
		slices.ContainsFunc(job.Get("needs").Flatten(), func(need *node) bool { return need.Has("pipeline") && !need.Has("job") })
}

// pruneNames leaves out the items of a list that name jobs which are not here.
func (c *compiler) pruneNames(p *keyPath, tree, n *node, keyword string) *node {
	list := n.Get(keyword)
	if !list.Is(yamltree.Sequence) {
		return n
	}
	kept := make([]*node, 0, len(list.Items))
	for _, item := range list.Items {
		name := item
		if item.Is(yamltree.Mapping) {
			name = item.Get("job")
		}
		foreign := item.Has("pipeline") || item.Has("project")
		if foreign || !c.isElsewhere(p, tree, name) {
			kept = append(kept, item)
		}
	}
	if len(kept) == len(list.Items) {
		return n
	}
	return yamltree.With(n, keyword, yamltree.NewSequence(kept, list.Position))
}

func (c *compiler) pruneRules(p *keyPath, tree, job *node) *node {
	rules := job.Get("rules")
	if !slices.ContainsFunc(rules.Flatten(), func(rule *node) bool { return rule.Has("needs") }) {
		return job
	}
	var pruned []*node
	for _, rule := range rules.Flatten() {
		pruned = append(pruned, c.pruneNames(p, tree, rule, "needs"))
	}
	return yamltree.With(job, "rules", yamltree.NewSequence(pruned, rules.Position))
}

func (c *compiler) pruneOnStop(p *keyPath, tree, job *node) *node {
	environment := job.Get("environment")
	if !c.isElsewhere(p, tree, environment.Get("on_stop")) {
		return job
	}
	return yamltree.With(job, "environment", yamltree.Without(environment, "on_stop"))
}

// isElsewhere says whether a name is that of a job which is not here, and is left out.
func (c *compiler) isElsewhere(p *keyPath, tree, name *node) bool {
	return name.Is(yamltree.String) && !hasJob(tree, name.Text) && c.leftOut(p, name, "the job "+shorten(name.Text)+" is not here")
}

// addStages puts the stages of jobs that no file lists behind the others, in the order of the jobs.
func (c *compiler) addStages(tree *node) *node {
	list := tree.Get("stages")
	if !list.IsNull() && !list.Is(yamltree.Sequence) {
		return tree
	}
	known := append([]string{preStage, postStage}, defaultStages...)
	if !list.IsNull() {
		known = append(list.Strings(), preStage, postStage)
	}
	stages := slices.Clone(known)
	c.eachJob(tree, func(p *keyPath, job *node) *node {
		stage := job.Get("stage")
		if stage.IsNull() {
			stage = yamltree.NewString("test", job.Position)
		}
		if !strings.HasPrefix(p.key, ".") && stage.Is(yamltree.String) && !slices.Contains(stages, stage.Text) &&
			c.leftOut(p.child("stage"), stage, "the place of the stage "+shorten(stage.Text)+" is not here") {
			stages = append(stages, stage.Text)
		}
		return job
	})
	if len(stages) == len(known) {
		return tree
	}
	items := make([]*node, len(stages))
	for i, stage := range stages {
		items[i] = yamltree.NewString(stage, tree.Position)
	}
	return yamltree.With(tree, "stages", yamltree.NewSequence(items, tree.Position))
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
