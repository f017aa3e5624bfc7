package pipeline

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
)

// An dependencyChecker validates what jobs say of stages and of each other.
type dependencyChecker struct {
	*checker
	stages map[string]int
	jobs   map[string]*jobSpec
	names  []string
}

// validateDependencies checks stages, dependencies, needs and on_stop of all jobs, and that needs go in no cycle.
func (c *checker) validateDependencies(s *specification) {
	e := &dependencyChecker{checker: c, stages: make(map[string]int, len(s.stages)), jobs: make(map[string]*jobSpec, len(s.jobs))}
	for i, stage := range s.stages {
		e.stages[stage] = i
	}
	for _, j := range s.jobs {
		e.jobs[j.name] = j
		e.names = append(e.names, j.name)
	}
	before := len(c.errors)
	for _, j := range s.jobs {
		e.job(j, s.stages)
	}
	if len(c.errors) == before {
		e.cycle()
	}
}

func (e *dependencyChecker) job(j *jobSpec, stages []string) {
	p := jobsPath.child(j.base)
	if _, ok := e.stages[j.stage]; !ok {
		message := "there is no stage %q"
		if j.node.Get("stage").IsNull() {
			message = "a job without a stage is in %q, which stages does not have"
		}
		e.fail(p.child("stage"), orElse(j.node.Get("stage"), j.key), "stages has "+join(stages), message, j.stage)
	}
	for _, d := range j.dependencies {
		e.dependency(p.child("dependencies"), j, j.node.Get("dependencies"), d, false)
	}
	e.needs(p.child("needs"), j, j.needs.jobs)
	for _, r := range j.rules {
		e.needs(p.child("needs"), j, r.needs)
	}
	for _, job := range j.trigger.ArtifactJobs() {
		e.dependency(p, j, j.node.Get("trigger"), job, false)
	}
	if j.environment != nil && j.environment.OnStop != "" {
		e.onStop(p.child("environment").child("on_stop"), j)
	}
	if isMapping(j.node.Get("pages")) && j.node.Has("publish") && j.node.Get("pages").Has("publish") {
		e.fail(p.child("publish"), j.node.Get("publish"), "keep pages:publish", "publish is given twice")
	}
}

func (e *dependencyChecker) needs(p *keyPath, j *jobSpec, needs []needSpec) {
	seen := make(map[string]bool, len(needs))
	for _, n := range needs {
		if len([]rune(n.Job)) > maxJobName && e.jobs[n.Job] != nil {
			e.fail(p, n.node, "", "the name of the needed job is longer than %d characters: %s", maxJobName, shorten(n.Job))
		}
		e.dependency(p, j, n.node, n.Job, n.Optional)
		if seen[n.Job] {
			e.fail(p, n.node, "list it once", "%s is needed twice", n.Job)
		}
		seen[n.Job] = true
	}
}

// dependency checks that another job is there, and not in a later stage.
func (e *dependencyChecker) dependency(p *keyPath, j *jobSpec, at *node, name string, optional bool) {
	other, ok := e.jobs[name]
	if !ok {
		if optional {
			return
		}
		e.fail(p, at, e.similar(name), "there is no job %q", shorten(name))
		return
	}
	mine, known := e.stages[j.stage]
	theirs, theirsKnown := e.stages[other.stage]
	if slices.Contains(e.unorderedStages, other.stage) || slices.Contains(e.unorderedStages, j.stage) {
		return
	}
	if !theirsKnown || known && theirs > mine {
		e.fail(p, at, "", "%s is in the stage %s, which comes after %s", name, other.stage, j.stage)
	}
}

// similar is a hint at the jobs that may be meant: those that a parallel job becomes, or one of a similar name.
func (e *dependencyChecker) similar(name string) string {
	for _, n := range e.names {
		if e.jobs[n].base == name {
			return name + " is parallel; here each of its jobs has to be named, as in " + n
		}
	}
	if similar := spelling.Closest(name, e.names); similar != "" {
		return "did you mean " + similar + "?"
	}
	return ""
}

func (e *dependencyChecker) onStop(p *keyPath, j *jobSpec) {
	at, name := j.node.Get("environment").Get("on_stop"), j.environment.OnStop
	stop, ok := e.jobs[name]
	switch {
	case !ok:
		e.fail(p, at, "", "there is no job %q", shorten(name))
	case stop.environment == nil:
		e.fail(p, at, "add environment to "+name, "the job %s has no environment", name)
	case stop.environment.Name != j.environment.Name:
		e.fail(p, at, "write the same name", "the job %s has another environment: %s", name, stop.environment.Name)
	case stop.environment.Action != "stop":
		e.fail(p, at, "add action: stop to the environment of "+name, "the job %s does not stop the environment", name)
	}
}

func (e *dependencyChecker) cycle() {
	cycle := findCycle(e.names, func(name string) []string {
		j := e.jobs[name]
		if j == nil {
			return nil
		}
		names := make([]string, 0, len(j.needs.jobs))
		for _, n := range j.needs.jobs {
			if e.jobs[n.Job] != nil {
				names = append(names, n.Job)
			}
		}
		return names
	})
	if cycle != nil {
		first := e.jobs[cycle[0]]
		e.fail(&keyPath{key: "needs"}, first.node.Get("needs"), "", "jobs need each other: %s",
			join(slices.Concat(cycle, cycle[:1])))
	}
}
