package pipeline

import (
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

const (
	// maxNeeds is how many jobs a job may need.
	maxNeeds = 50
	// maxPipelineNeeds is how many jobs of other pipelines of this project, and how many of other projects, a job may need.
	maxPipelineNeeds = 5
)

// A needSpec is an entry of `needs` for a job of the same pipeline.
type needSpec struct {
	Need
	matrix *parallel // `needs:parallel`, nil for all jobs
	node   *node
}

// A needList is the keyword `needs`.
type needList struct {
	jobs    []needSpec
	foreign []needSpec // jobs of other projects and pipelines
	bridges int        // number of pipelines in needs:pipeline
}

// A needKind says which needs a place may have besides those of jobs of the same pipeline.
type needKind uint8

const (
	ruleNeeds   needKind = iota // none
	jobNeeds                    // jobs of other projects and pipelines
	bridgeNeeds                 // one other pipeline as a whole
)

// jobNeeds reports what is wrong with the keyword `needs` of a job; composed has read it.
func (c *checker) jobNeeds(p *keyPath, n *node, j *jobSpec) {
	kind := jobNeeds
	if j.kind == bridgeJob {
		kind = bridgeNeeds
	}
	c.needs(p, n, kind)
}

// needs validates `needs`.
func (c *checker) needs(p *keyPath, n *node, kind needKind) needList {
	var list needList
	if n.Kind != yamltree.Mapping && n.Kind != yamltree.Sequence {
		c.Fail(p, n, "write a list", "should be an array or a hash, not %s", yamltree.Describe(n))
		return list
	}
	if n.Kind == yamltree.Mapping && len(n.Pairs) == 0 {
		c.Fail(p, n, "", "is an empty hash")
	}
	for _, item := range n.Flatten() {
		if !item.IsNull() { // an empty item is left out
			c.need(p, item, &list)
		}
	}
	if len(list.foreign) > 0 && kind != jobNeeds || list.bridges > 0 && kind != bridgeNeeds {
		c.Fail(p, n, "", "a job of another pipeline, or a pipeline, cannot be needed here")
	}
	pipelines := 0
	for _, f := range list.foreign {
		if f.Pipeline != "" {
			pipelines++
		}
	}
	if pipelines > maxPipelineNeeds || len(list.foreign)-pipelines > maxPipelineNeeds {
		c.Fail(p, n, "", "more than %d jobs of other pipelines", maxPipelineNeeds)
	}
	return list
}

func (c *checker) need(p *keyPath, n *node, list *needList) {
	switch {
	case check.IsString(n):
		if n.IsBlank() {
			c.Fail(p, n, "", "the name of a needed job is empty")
		}
		list.jobs = append(list.jobs, needSpec{Need: Need{Job: n.Text, Artifacts: true}, node: n})
	case n.Has("project"), n.Has("ref"):
		c.AllowedKeys(p, n, "project", "ref", "job", "artifacts")
		for _, key := range []string{"project", "ref", "job"} {
			c.RequiredString(p, n, key)
		}
		c.OptionalBool(p, n, "artifacts")
		list.foreign = append(list.foreign, foreignNeed(n))
	case n.Has("job") && n.Has("pipeline"):
		c.AllowedKeys(p, n, "pipeline", "job", "artifacts")
		c.RequiredString(p, n, "pipeline")
		c.RequiredString(p, n, "job")
		c.OptionalBool(p, n, "artifacts")
		list.foreign = append(list.foreign, foreignNeed(n))
	case n.Has("job"):
		list.jobs = append(list.jobs, c.jobNeed(p, n))
	case n.Has("pipeline"):
		c.AllowedKeys(p, n, "pipeline")
		c.RequiredString(p, n, "pipeline")
		list.bridges++
	default:
		c.Fail(p, n, "write a job's name or a hash with job", "%s is not a valid need", yamltree.Describe(n))
	}
}

func (c *checker) jobNeed(p *keyPath, n *node) needSpec {
	c.AllowedKeys(p, n, "job", "artifacts", "optional", "parallel")
	c.RequiredString(p, n, "job")
	c.OptionalBool(p, n, "artifacts")
	c.OptionalBool(p, n, "optional")
	s := needSpec{Need: Need{Job: n.Get("job").RubyText(), Artifacts: wantsArtifacts(n), Optional: n.Get("optional").True()}, node: n}
	switch v := n.Get("parallel"); {
	case !v.IsNull():
		s.matrix = c.parallel(p.Child("parallel"), v, false)
	case v != nil:
		s.matrix = &parallel{} // none of the jobs of a matrix
	}
	return s
}

func wantsArtifacts(n *node) bool {
	a := n.Get("artifacts")
	return a.IsNull() || a.True()
}

func foreignNeed(n *node) needSpec {
	return needSpec{Need: Need{Job: n.Get("job").RubyText(), Artifacts: wantsArtifacts(n), Project: n.Get("project").RubyText(),
		Ref: n.Get("ref").RubyText(), Pipeline: n.Get("pipeline").RubyText()}, node: n}
}

func join(words []string) string { return strings.Join(words, ", ") }

// gitLab returns a string for a need that only names a job.
func (n *Need) gitLab() any {
	if n.Artifacts && !n.Optional && n.Project == "" && n.Pipeline == "" {
		return n.Job
	}
	m := map[string]any{"job": n.Job}
	if !n.Artifacts {
		m["artifacts"] = false
	}
	put(m, "optional", n.Optional)
	put(m, "project", n.Project)
	put(m, "ref", n.Ref)
	put(m, "pipeline", n.Pipeline)
	return m
}
