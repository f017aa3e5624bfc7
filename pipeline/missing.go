package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/reuse"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// missingInclude reports that what an entry of an include names is unavailable. It may be all right on GitLab, so
// [Options.SkipMissing] can skip it. What several entries name is reported once.
func (c *compiler) missingInclude(code Code, n *node, name string, err error) {
	message := name + " is unavailable"
	if !errors.Is(err, errNoResolver) && !errors.Is(err, fs.ErrNotExist) {
		code, message = IncludeFailed, fmt.Sprintf("%s is unavailable: %v", name, err)
	}
	if c.skipped(code, includePath, n, message) {
		c.result.incomplete = true
		return
	}
	if c.unavailable[message] {
		return
	}
	if c.unavailable == nil {
		c.unavailable = make(map[string]bool)
	}
	c.unavailable[message] = true
	c.FailCode(string(code), includePath, n, "%s", message)
}

// skipped asks whether something that is missing is skipped.
func (c *compiler) skipped(code Code, p *keyPath, n *node, message string) bool {
	skip := c.project.options.SkipMissing
	return skip != nil && skip(&Error{Position: at(n), Path: p.String(), Code: code, Message: check.Cut(message)})
}

// skippedReference asks whether a reference to something that is missing is skipped.
func (c *compiler) skippedReference(p *keyPath, n *node, name string) bool {
	return c.skipped("", p, n, name+" is unavailable")
}

// ifIncomplete wraps a step that is only needed if an include was skipped.
func (c *compiler) ifIncomplete(step func(*node) *node) func(*node) *node {
	return func(tree *node) *node {
		if !c.result.incomplete {
			return tree
		}
		return step(tree)
	}
}

// pruneExtends removes the names in `extends` of templates that no file has.
func (c *compiler) pruneExtends(tree *node) *node {
	return c.eachJob(tree, func(p *keyPath, job *node) *node {
		if !reuse.IsExtended(job) {
			return job
		}
		extends := job.Get("extends")
		var kept []*node
		for _, name := range reuse.Parents(extends) {
			if !tree.Has(name) && c.skippedReference(p.Child("extends"), extends, "the job "+yamltree.Shorten(name)) {
				continue
			}
			kept = append(kept, yamltree.NewString(name, extends.Position))
		}
		switch {
		case len(kept) == len(reuse.Parents(extends)):
			return job
		case len(kept) == 0:
			return yamltree.Without(job, "extends")
		}
		return yamltree.With(job, "extends", yamltree.NewSequence(kept, extends.Position))
	})
}

// pruneReferences removes each !reference to what no file has, until none leads to what was removed.
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
		p, isJob := jobsPath.Child(name), !slices.Contains(rootKeys, name)
		if !isJob {
			p = check.NewPath(name)
		}
		value := c.pruneDangling(p, tree, pair.Value)
		if value == nil && isJob && pair.Value.Is(yamltree.Mapping) && !strings.HasPrefix(name, ".") {
			value = yamltree.NewMapping(nil, pair.Value.Position) // pruneJobs reports the job
		}
		if value != nil {
			pairs = append(pairs, yamltree.Pair{Key: pair.Key, Value: value})
		}
	}
	return yamltree.NewMapping(pairs, tree.Position)
}

// pruneDangling returns a value without its dangling references, nil if nothing valid is left: an empty list of commands or
// rules would be an error, as would be an image without a name.
func (c *compiler) pruneDangling(p *keyPath, tree, n *node) *node {
	switch n.Kind {
	case yamltree.Reference:
		if dangles(tree, n) && c.skippedReference(p, n, "!reference ["+strings.Join(n.Strings(), ", ")+"]") {
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
			if pair.Value = c.pruneDangling(p.Child(pair.Key.Text), tree, pair.Value); pair.Value != nil {
				pairs = append(pairs, pair)
			}
		}
		pruned := yamltree.NewMapping(pairs, n.Position)
		if len(pairs) == 0 && len(n.Pairs) > 0 || n.Has("name") && !pruned.Has("name") && slices.Contains(namedKeys, p.Key()) {
			return nil
		}
		return pruned
	}
	return n
}

// dangles reports whether a reference names nothing in the tree. What is behind another reference is not known yet.
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

// pruneJobs removes jobs whose script is missing, then the names of jobs that are missing.
func (c *compiler) pruneJobs(tree *node) *node {
	tree = c.eachJob(tree, func(p *keyPath, job *node) *node {
		if strings.HasPrefix(p.Key(), ".") || hasAction(job) || !c.skippedReference(p, job, "the script of the job "+yamltree.Shorten(p.Key())) {
			return job
		}
		return nil
	})
	return c.eachJob(tree, func(p *keyPath, job *node) *node {
		job = c.pruneNames(p.Child("needs"), tree, job, "needs")
		job = c.pruneNames(p.Child("dependencies"), tree, job, "dependencies")
		job = c.pruneOnStop(p.Child("environment").Child("on_stop"), tree, job)
		return c.pruneRules(p.Child("rules").Child("needs"), tree, job)
	})
}

// hasAction reports whether a job runs something, starts a pipeline or mirrors one.
func hasAction(job *node) bool {
	return slices.ContainsFunc([]string{"script", "run", "trigger"}, job.Has) ||
		slices.ContainsFunc(job.Get("needs").Flatten(), func(need *node) bool { return need.Has("pipeline") && !need.Has("job") })
}

// pruneNames removes the items of a list that name missing jobs.
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
		if foreign || !c.isMissing(p, tree, name) {
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

// pruneOnStop removes on_stop if its job is missing, or if the environment of that job is that of a missing template.
func (c *compiler) pruneOnStop(p *keyPath, tree, job *node) *node {
	environment := job.Get("environment")
	name := environment.Get("on_stop")
	if !name.Is(yamltree.String) {
		return job
	}
	missing := c.isMissing(p, tree, name)
	if stop := tree.Get(name.Text); stop.Is(yamltree.Mapping) && stop.Get("environment").Get("action").RubyText() != "stop" {
		missing = c.skippedReference(p, name, "the environment of the job "+yamltree.Shorten(name.Text))
	}
	if !missing {
		return job
	}
	return yamltree.With(job, "environment", yamltree.Without(environment, "on_stop"))
}

// isMissing reports whether a name is that of a job that no file has, and is skipped.
func (c *compiler) isMissing(p *keyPath, tree, name *node) bool {
	return name.Is(yamltree.String) && !hasJob(tree, name.Text) && c.skippedReference(p, name, "the job "+yamltree.Shorten(name.Text))
}

// addStages puts the stages of jobs that no file lists behind the others, in the order of the jobs. A job without a stage is in
// the default stage, which the list may not have either.
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
		stage, name := job.Get("stage"), defaultStage
		if stage.Is(yamltree.String) {
			name = stage.Text
		} else if !stage.IsNull() {
			return job
		}
		if !strings.HasPrefix(p.Key(), ".") && !slices.Contains(stages, name) &&
			c.skippedReference(p.Child("stage"), cmp.Or(stage, job), "the position of the stage "+yamltree.Shorten(name)) {
			stages = append(stages, name)
		}
		return job
	})
	c.result.unorderedStages = stages[len(known):]
	if len(c.result.unorderedStages) == 0 {
		return tree
	}
	items := make([]*node, len(stages))
	for i, stage := range stages {
		items[i] = yamltree.NewString(stage, tree.Position)
	}
	return yamltree.With(tree, "stages", yamltree.NewSequence(items, tree.Position))
}

// acceptNoJobs accepts a configuration whose visible jobs are all in files that were skipped.
func (c *compiler) acceptNoJobs(tree *node) *node {
	jobs, _ := splitJobs(tree)
	visible := slices.ContainsFunc(jobs, func(pair yamltree.Pair) bool { return kindOf(pair.Key.Text, pair.Value) != hiddenJob })
	c.result.noJobs = !visible && c.skippedReference(jobsPath, tree, "every job of the configuration")
	return tree
}

// hasJob reports whether there is a job of a name, or one whose parallel jobs have such names.
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

// eachJob replaces the jobs of a configuration, hidden ones too; a job for which change returns nil is removed.
func (c *compiler) eachJob(tree *node, change func(p *keyPath, job *node) *node) *node {
	var pairs []yamltree.Pair
	for _, pair := range tree.Pairs {
		name := pair.Key.Text
		if pair.Value.Is(yamltree.Mapping) && !slices.Contains(rootKeys, name) {
			if pair.Value = change(jobsPath.Child(name), pair.Value); pair.Value == nil {
				continue
			}
		}
		pairs = append(pairs, pair)
	}
	return yamltree.NewMapping(pairs, tree.Position)
}
