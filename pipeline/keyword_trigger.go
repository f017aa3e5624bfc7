package pipeline

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// maxChildIncludes is how many files a child pipeline may be made of.
const maxChildIncludes = 3

var includeKeys = []string{"local", "file", "remote", "project", "ref", "integrity", "cache", "template", "artifact", "inputs", "job",
	"rules", "component"}

// trigger validates the keyword `trigger`.
func (c *checker) trigger(p *keyPath, n *node) *TriggerSpec {
	switch {
	case check.IsString(n):
		if n.IsBlank() {
			c.Fail(p, n, "", "the project is missing")
		}
		return &TriggerSpec{Project: n.Text, Stored: map[string]any{"project": n.Text}}
	case !n.Is(yamltree.Mapping):
		c.Fail(p, n, "", "should be a project or a hash, not %s", yamltree.Describe(n))
		return nil
	case len(n.Pairs) == 0:
		c.Fail(p, n, "write project or include", "is empty")
		return nil
	}
	t := &TriggerSpec{Stored: storedKeys(n)}
	if n.Has("include") {
		c.AllowedKeys(p, n, "strategy", "include", "forward")
		c.strategy(p, n)
		c.triggerIncludes(p.Child("include"), n.Get("include"))
		for _, entry := range includeEntries(n.Get("include")) {
			t.Include = append(t.Include, entry.Any())
		}
	} else {
		c.AllowedKeys(p, n, "project", "branch", "strategy", "forward", "inputs")
		c.RequiredString(p, n, "project")
		c.OptionalString(p, n, "branch")
		c.strategy(p, n)
	}
	t.Project, t.Branch, t.Strategy = n.Get("project").RubyText(), n.Get("branch").RubyText(), n.Get("strategy").RubyText()
	if v := n.Get("forward"); !v.IsNull() {
		t.Forward = c.forward(p.Child("forward"), v)
	}
	if v := n.Get("inputs"); !v.IsNull() && c.Mapping(p.Child("inputs"), v) {
		t.Inputs, _ = v.Any().(map[string]any)
	}
	return t
}

func (c *checker) strategy(p *keyPath, n *node) {
	c.OptionalOneOf(p, n, "strategy", "depend", "mirror")
}

func (c *checker) forward(p *keyPath, n *node) map[string]bool {
	if !c.Mapping(p, n) {
		return nil
	}
	c.AllowedKeys(p, n, "yaml_variables", "pipeline_variables")
	forward := make(map[string]bool)
	for _, key := range []string{"yaml_variables", "pipeline_variables"} {
		if c.OptionalBool(p, n, key) && !n.Get(key).IsNull() {
			forward[key] = n.Get(key).True()
		}
	}
	return forward
}

// includeEntries returns the entries of the include of a child pipeline that say something.
func includeEntries(n *node) []*node {
	if n.IsNull() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(n.Flatten()), (*node).IsNull)
}

func (c *checker) triggerIncludes(p *keyPath, n *node) {
	switch {
	case n.IsNull():
		return
	case !check.IsString(n) && !n.Is(yamltree.Sequence):
		c.Fail(p, n, "write a list", "should be a path or an array, not %s", yamltree.Describe(n))
		return
	case n.Kind == yamltree.Sequence && len(n.Items) > maxChildIncludes:
		c.Fail(p, n, "", "more than %d files", maxChildIncludes)
	}
	for _, entry := range n.Flatten() {
		c.includeEntry(p, entry)
	}
}

// includeEntry validates an entry of an include; an empty one says nothing.
func (c *checker) includeEntry(p *keyPath, n *node) {
	switch {
	case n.IsNull(), check.IsString(n):
		return
	case !check.IsMapping(n):
		c.Fail(p, n, "", "an entry should be a string or a hash, not %s", yamltree.Describe(n))
		return
	}
	if !n.Get("project").IsBlank() && n.Get("file").IsBlank() {
		c.Fail(p, n, "add file", "the project's file is missing")
	}
	if !n.Get("integrity").IsNull() && n.Get("remote").IsBlank() {
		c.Fail(p, n, "", "integrity is for remote files")
	}
	c.AllowedKeys(p, n, includeKeys...)
	if !n.Get("artifact").IsNull() && n.Get("job").IsBlank() {
		c.Fail(p, n, "add job", "the job that makes the artifact is missing")
	}
	if v := n.Get("rules"); !v.IsNull() {
		c.rules(p.Child("rules"), v, includeRules)
	}
}

// ArtifactJobs returns the names of the jobs whose artifacts are the files of a child pipeline.
func (t *TriggerSpec) ArtifactJobs() []string {
	var jobs []string
	if t == nil {
		return nil
	}
	for _, entry := range t.Include {
		if m, ok := entry.(map[string]any); ok {
			if job, ok := m["job"].(string); ok && !slices.Contains(jobs, job) {
				jobs = append(jobs, job)
			}
		}
	}
	return jobs
}

func (t *TriggerSpec) gitLab() any { return t.Stored }
