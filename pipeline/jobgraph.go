package pipeline

import (
	"cmp"
	"slices"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A graphChecker checks stages, and how jobs refer to each other.
type graphChecker struct {
	*checker
	stages map[string]int
	jobs   map[string]*jobSpec
	names  []string
	// unordered are the stages whose place among the others is unknown.
	unordered []string
}

// validateGraph checks stages, dependencies, needs and on_stop of all jobs, and that needs go in no cycle.
func (c *checker) validateGraph(s *specification, unordered []string) {
	g := &graphChecker{checker: c, unordered: unordered, stages: make(map[string]int, len(s.stages)), jobs: make(map[string]*jobSpec, len(s.jobs))}
	for i, stage := range s.stages {
		g.stages[stage] = i
	}
	for _, j := range s.jobs {
		g.jobs[j.Name] = j
		g.names = append(g.names, j.Name)
	}
	before := len(c.Problems)
	for _, j := range s.jobs {
		g.job(j, s.stages)
	}
	if len(c.Problems) == before {
		g.cycle()
	}
}

func (g *graphChecker) job(j *jobSpec, stages []string) {
	p := jobsPath.Child(j.BaseName)
	if _, ok := g.stages[j.Stage]; !ok {
		message := "there is no stage %q"
		if j.node.Get("stage").IsNull() {
			message = "a job without a stage is in %q, which stages does not have"
		}
		g.Fail(p.Child("stage"), cmp.Or(j.node.Get("stage"), j.key), "stages has "+join(stages), message, j.Stage)
	}
	for _, d := range j.Dependencies {
		g.dependency(p.Child("dependencies"), j, j.node.Get("dependencies"), d, false)
	}
	g.needs(p.Child("needs"), j, j.needs.jobs)
	for _, r := range j.rules {
		g.needs(p.Child("needs"), j, r.needs)
	}
	for _, job := range j.Trigger.ArtifactJobs() {
		g.dependency(p, j, j.node.Get("trigger"), job, false)
	}
	if j.Environment != nil && j.Environment.OnStop != "" {
		g.onStop(p.Child("environment").Child("on_stop"), j)
	}
	if check.IsMapping(j.node.Get("pages")) && j.node.Has("publish") && j.node.Get("pages").Has("publish") {
		g.Fail(p.Child("publish"), j.node.Get("publish"), "keep pages:publish", "publish is given twice")
	}
}

func (g *graphChecker) needs(p *keyPath, j *jobSpec, needs []needSpec) {
	seen := make(map[string]bool, len(needs))
	for _, n := range needs {
		if len([]rune(n.Job)) > maxJobName && g.jobs[n.Job] != nil {
			g.Fail(p, n.node, "", "the name of the needed job is longer than %d characters: %s", maxJobName, yamltree.Shorten(n.Job))
		}
		g.dependency(p, j, n.node, n.Job, n.Optional)
		if seen[n.Job] {
			g.Fail(p, n.node, "list it once", "%s is needed twice", n.Job)
		}
		seen[n.Job] = true
	}
}

// dependency checks that another job exists, and is not in a later stage.
func (g *graphChecker) dependency(p *keyPath, j *jobSpec, at *node, name string, optional bool) {
	other, ok := g.jobs[name]
	if !ok {
		if optional {
			return
		}
		g.Fail(p, at, g.similar(name), "there is no job %q", yamltree.Shorten(name))
		return
	}
	mine, known := g.stages[j.Stage]
	theirs, theirsKnown := g.stages[other.Stage]
	if slices.Contains(g.unordered, other.Stage) || slices.Contains(g.unordered, j.Stage) {
		return
	}
	if !theirsKnown || known && theirs > mine {
		g.Fail(p, at, "", "%s is in the stage %s, which comes after %s", name, other.Stage, j.Stage)
	}
}

// similar is a hint at the jobs that may be meant: those that a parallel job becomes, or one of a similar name.
func (g *graphChecker) similar(name string) string {
	for _, n := range g.names {
		if g.jobs[n].BaseName == name {
			return name + " is parallel; here each of its jobs has to be named, as in " + n
		}
	}
	if similar := spelling.Closest(name, g.names); similar != "" {
		return "did you mean " + similar + "?"
	}
	return ""
}

func (g *graphChecker) onStop(p *keyPath, j *jobSpec) {
	at, name := j.node.Get("environment").Get("on_stop"), j.Environment.OnStop
	stop, ok := g.jobs[name]
	switch {
	case !ok:
		g.Fail(p, at, "", "there is no job %q", yamltree.Shorten(name))
	case stop.Environment == nil:
		g.Fail(p, at, "add environment to "+name, "the job %s has no environment", name)
	case stop.Environment.Name != j.Environment.Name:
		g.Fail(p, at, "write the same name", "the job %s has a different environment: %s", name, stop.Environment.Name)
	case stop.Environment.Action != "stop":
		g.Fail(p, at, "add action: stop to the environment of "+name, "the job %s does not stop the environment", name)
	}
}

func (g *graphChecker) cycle() {
	cycle := findCycle(g.names, func(name string) []string {
		j := g.jobs[name]
		if j == nil {
			return nil
		}
		names := make([]string, 0, len(j.needs.jobs))
		for _, n := range j.needs.jobs {
			if g.jobs[n.Job] != nil {
				names = append(names, n.Job)
			}
		}
		return names
	})
	if cycle != nil {
		first := g.jobs[cycle[0]]
		g.Fail(check.NewPath("needs"), first.node.Get("needs"), "", "jobs need each other: %s",
			join(slices.Concat(cycle, cycle[:1])))
	}
}
