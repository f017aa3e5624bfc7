package runner

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// A graph is one pipeline of a run: the plan's own, or a child pipeline.
type graph struct {
	plan  *pipeline.Plan
	nodes []*node
	// bridge is the job that triggered this child pipeline; nil for the run's own.
	bridge *node
	// begun reports whether the pipeline's jobs may start: always for the run's own, after its bridge for a child pipeline.
	begun bool
}

// A node is a job in its graph.
type node struct {
	job   *pipeline.Job
	graph *graph
	state *JobState
	// dag reports whether the job waits for its needs; otherwise it waits for all jobs of earlier stages.
	dag    bool
	before []*node
	// sources are the jobs whose artifacts and dotenv variables this one gets.
	sources []*node
	child   *graph
	// approved reports whether a person has started this manual job, now or beforehand.
	approved bool
	// expanded reports whether job has the values of its inputs; unknownExpression is the error of an expression that cannot be expanded.
	expanded          bool
	unknownExpression error
}

// newGraph links the jobs of a plan, and of its child pipelines. Job names are prefixed in child pipelines.
func newGraph(plan *pipeline.Plan, bridge *node, prefix string, slugs map[string]bool) *graph {
	g := &graph{plan: plan, bridge: bridge, begun: bridge == nil}
	for _, job := range plan.Jobs {
		n := &node{job: job, graph: g, state: &JobState{
			Name: prefix + job.Name, Slug: uniqueSlug(prefix+job.Name, slugs), Stage: job.Stage, Status: Created,
			Blocking: job.When == pipeline.Manual && !job.AllowFailure,
		}}
		if job.BaseName != job.Name && job.BaseName != "" {
			n.state.BaseName = prefix + job.BaseName
		}
		if t := job.Trigger; t != nil && t.Child != nil && t.Child.Created {
			n.child = newGraph(t.Child, n, n.state.Name+" / ", slugs)
		}
		g.nodes = append(g.nodes, n)
	}
	for _, n := range g.nodes {
		g.link(n)
	}
	return g
}

func uniqueSlug(name string, taken map[string]bool) string {
	s := pipeline.Slug(name)
	if s == "" || taken[s] {
		s = s[:min(len(s), 50)] + "-" + shortHash(name)
	}
	taken[s] = true
	return s
}

// shortHash returns a file name for a text that is too long for one or has other characters.
func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

func (g *graph) link(n *node) {
	earlier := g.earlierStages(n.job.Stage)
	n.before, n.dag = earlier, n.job.Needs != nil
	if n.dag {
		n.before = nil
	}
	n.sources = nil
	for _, need := range n.job.Needs {
		if need.Job == "" || need.Project != "" || need.Pipeline != "" {
			continue
		}
		found := g.named(need.Job)
		n.before = append(n.before, found...)
		if need.Artifacts {
			n.sources = append(n.sources, found...)
		}
	}
	if !n.dag {
		n.sources = earlier
	}
	if n.job.Dependencies != nil {
		n.sources = nil
		for _, name := range n.job.Dependencies {
			n.sources = append(n.sources, g.named(name)...)
		}
	}
}

// named returns a job by its name, or all instances of a parallel one by the name in the configuration.
func (g *graph) named(name string) []*node {
	var found []*node
	for _, n := range g.nodes {
		switch name {
		case n.job.Name:
			return []*node{n}
		case n.job.BaseName:
			found = append(found, n)
		}
	}
	return found
}

func (g *graph) earlierStages(stage string) []*node {
	position := slices.Index(g.plan.Stages, stage)
	var earlier []*node
	for _, n := range g.nodes {
		if slices.Index(g.plan.Stages, n.job.Stage) < position {
			earlier = append(earlier, n)
		}
	}
	return earlier
}

// all returns the nodes of a graph and its children, each child's after its bridge.
func (g *graph) all() []*node {
	var nodes []*node
	for _, n := range g.nodes {
		nodes = append(nodes, n)
		if n.child != nil {
			nodes = append(nodes, n.child.all()...)
		}
	}
	return nodes
}

// A step is what to do with a job that has not started.
type step int

const (
	wait  step = iota // it waits for others
	start             // it starts now
	block             // it is manual, and nothing else keeps it from starting
	delay             // it is delayed, and nothing else keeps it from starting
	skip              // it will never start
)

// next returns what to do with a job by GitLab's rules, given the jobs before it.
func (n *node) next() step {
	switch composite(n.before, n.dag) {
	case Success:
	case Skipped:
		// Jobs of earlier stages that did not run do not block a job; needs that did not run do.
		if n.dag && n.job.When != pipeline.Always {
			return skip
		}
	case Failed:
		if n.job.When == pipeline.OnFailure || n.job.When == pipeline.Always {
			return start
		}
		return skip
	case Canceled:
		return skip
	default:
		return wait
	}
	switch n.job.When {
	case pipeline.OnFailure, pipeline.Never:
		return skip
	case pipeline.Manual:
		if n.approved {
			return start
		}
		return block
	case pipeline.Delayed:
		return delay
	default:
		return start
	}
}

// composite returns the status of several jobs together, as GitLab computes it for the jobs after them: Success,
// Failed, Skipped or Canceled once it is final, otherwise Running or Manual.
func composite(nodes []*node, dag bool) Status {
	if len(nodes) == 0 {
		return Success
	}
	var success, failed, canceled, skipped, ignored, blocked, unfinished int
	for _, n := range nodes {
		switch s := n.state; {
		case !s.Status.finished():
			unfinished++
		case s.Status == Manual && s.Blocking:
			blocked++
		case s.Status == Manual:
			ignored++
		case s.Status == Skipped:
			skipped++
		case s.Status == Canceled:
			canceled++
		case s.Status == Failed && !s.Allowed:
			failed++
		default:
			success++
		}
	}
	switch {
	case dag && skipped+ignored > 0:
		// One need that does not run is enough, whatever the others do. An optional manual job counts as one.
		return Skipped
	case unfinished > 0, dag && blocked > 0:
		return Running
	case blocked > 0:
		return Manual
	case failed > 0:
		return Failed
	case canceled > 0:
		return Canceled
	case success > 0:
		return Success
	default:
		return Skipped
	}
}

// resetSkipped makes jobs that were skipped because of a manual job pending again, as GitLab does when that is
// started.
func (g *graph) resetSkipped(played *node) {
	again := map[*node]bool{played: true}
	for changed := true; changed; {
		changed = false
		for _, n := range g.nodes {
			if n.state.Status == Skipped && slices.ContainsFunc(n.before, func(b *node) bool { return again[b] }) {
				n.state.Status, again[n], changed = Created, true, true
			}
		}
	}
}

// outcome returns the status of a whole pipeline for the job that triggered it; Running while it can still change.
func (g *graph) outcome() Status {
	status := composite(g.nodes, false)
	if status == Manual || status == Skipped {
		// The bridge of a child pipeline that is blocked by a manual job waits; a child pipeline without jobs has succeeded.
		return map[Status]Status{Manual: Running, Skipped: Success}[status]
	}
	return status
}
