package pipeline

import (
	"cmp"
	"slices"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A specification is a validated configuration: everything that does not depend on what an event decides.
type specification struct {
	stages     []string
	variables  []Variable
	workflow   []rule
	hasRules   bool
	name       string
	nameNode   *node
	autoCancel *AutoCancel
	jobs       []*jobSpec
}

const maxPipelineName = 255

// specification validates the merged configuration; nil if there are errors.
func (c *checker) specification(config *configuration) *specification {
	tree, before := config.tree, len(c.Problems)
	s := &specification{}
	jobs, rest := splitJobs(tree)
	c.misnamedJobs(rest)
	defaults := c.defaults(rest)
	if v := rest.Get("include"); !v.IsNull() {
		for _, entry := range v.Flatten() {
			c.includeEntry(includePath, entry)
		}
	}
	if v := rest.Get("variables"); !v.IsNull() {
		s.variables = c.variables(check.NewPath("variables"), v, globalData)
	}
	s.stages = c.stages(check.NewPath("stages"), rest.Get("stages"))
	c.workflow(rest.Get("workflow"), s)
	c.jobs(config, jobs, defaults, s)
	if len(c.Problems) > before {
		return nil
	}
	s.jobs = c.expandParallel(s.jobs)
	if len(c.Problems) == before {
		c.validateGraph(s, config.unorderedStages)
	}
	if len(c.Problems) > before {
		return nil
	}
	return s
}

// splitJobs separates the jobs from the global keywords. A default or a workflow that looks like a job is one.
func splitJobs(tree *node) (jobs []yamltree.Pair, rest *node) {
	var global []yamltree.Pair
	for _, pair := range tree.Pairs {
		name := pair.Key.Text
		isJob := !slices.Contains(rootKeys, name) || !slices.Contains(reservedKeys, name) && kindOf(name, pair.Value) != noJob
		if isJob {
			jobs = append(jobs, pair)
		} else {
			global = append(global, pair)
		}
	}
	return jobs, yamltree.NewMapping(global, tree.Position)
}

// misnamedJobs reports jobs that have the name of a global keyword, which GitLab takes them for.
func (c *checker) misnamedJobs(global *node) {
	for _, pair := range global.Pairs {
		name, script := pair.Key.Text, pair.Value.Get("script")
		// A variable may well be called script.
		if script == nil || name == "variables" && script.Kind != yamltree.Sequence {
			continue
		}
		c.Fail(check.NewPath(name), pair.Key, name+" is a keyword of GitLab: a job must have another name", "a job cannot be called %s", name)
	}
}

func (c *checker) workflow(n *node, s *specification) {
	p := check.NewPath("workflow")
	if n.IsNull() || !c.Mapping(p, n) {
		return
	}
	c.AllowedKeys(p, n, "rules", "name", "auto_cancel")
	if v := n.Get("name"); !v.IsNull() {
		if len([]rune(v.RubyText())) > maxPipelineName {
			c.Fail(p.Child("name"), v, "", "longer than %d characters", maxPipelineName)
		}
		s.name, s.nameNode = v.RubyText(), v
	}
	s.hasRules = n.Has("rules")
	if v := n.Get("rules"); !v.IsNull() {
		s.workflow = c.rules(p.Child("rules"), v, workflowRules)
	}
	if v := n.Get("auto_cancel"); !v.IsNull() {
		s.autoCancel = c.autoCancel(p.Child("auto_cancel"), v)
	}
}

var jobsPath = check.NewPath("jobs")

func (c *checker) jobs(config *configuration, jobs []yamltree.Pair, defaults *defaultSection, s *specification) {
	tree, visible, before := config.tree, false, len(c.Problems)
	for _, pair := range jobs {
		name := pair.Key.Text
		switch kindOf(name, pair.Value) {
		case noJob:
			hint := "add script, or trigger"
			if similar := spelling.Closest(name, rootKeys); similar != "" {
				hint = "did you mean " + similar + "? Else " + hint
			} else if typo, meant := misspelt(pair.Value, "script", "trigger"); typo != "" {
				hint = "did you mean " + meant + " instead of " + typo + "?"
			}
			c.Fail(jobsPath.Child(name), pair.Key, hint, "neither script nor trigger says what the job does")
		case buildJob, bridgeJob:
			visible = true
		}
	}
	if !visible && !config.noJobs && len(c.Problems) == before {
		c.Fail(jobsPath, tree, "add a job whose name does not begin with a dot", "there is no visible job")
	}
	for _, pair := range jobs {
		name, p := pair.Key.Text, jobsPath.Child(cmp.Or(pair.Key.Text, "job")) // so GitLab calls a job without a name
		switch kind := kindOf(name, pair.Value); kind {
		case hiddenJob:
			if pair.Value.IsBlank() {
				c.Fail(p, pair.Key, "remove it", "a hidden job is empty")
			}
		case buildJob, bridgeJob:
			job := c.job(p, pair.Key, pair.Value, kind, defaults, s.hasRules)
			job.Keywords = keywordPositions(tree, pair.Value)
			s.jobs = append(s.jobs, job)
		}
	}
}
