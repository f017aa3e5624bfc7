package runner

import (
	"fmt"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/executor"
)

// executorConfig returns the configuration of the run's executor.
func (r *run) executorConfig() executor.Config {
	return executor.Config{
		Name: r.options.Executor, Engine: r.options.ContainerEngine, Project: r.project,
		CallerEnv: r.options.Env, JobEnv: withPath(machineEnvironment(r.options.Env), r.options.Tools), PassedEnv: pick(r.options.Env, r.options.PassEnv),
		CacheHome: r.workspace.cacheHome(), Containers: executor.Containers(r.options.Containers),
		NoSandbox: r.options.NoSandbox, Writable: r.options.Writable,
		Supervisor: r.options.Supervisor, Grace: r.options.Grace, Kill: r.options.Kill,
		Hint: func(code string) string { return r.options.Hints[pipeline.Code(code)] },
	}
}

// image returns the image of a job: its own, or the one for jobs without one.
func (r *run) image(job *pipeline.Job) *pipeline.Image {
	if job.Image == nil && r.options.Containers.Image != "" && r.options.Executor != executor.Shell {
		return &pipeline.Image{Name: r.options.Containers.Image}
	}
	return job.Image
}

// executorJob returns the attempt in the form that the executor needs, with all variables expanded.
func (a *attempt) executorJob() executor.Job {
	job := executor.Job{
		Name: a.node.state.Name, Run: a.run.number, ID: a.id, Variables: a.env.variables,
		Root: a.build.root, Project: a.build.project, Scripts: a.build.temporaryProject(), Temporary: a.build.temporary,
		Sources: a.run.definition.Sources.Dir, Logf: a.logf,
	}
	if image := a.run.image(a.node.job); image != nil {
		job.Image = new(a.expandImage(*image))
	}
	for _, service := range a.node.job.Services {
		job.Services = append(job.Services, a.expandImage(service))
	}
	return job
}

func (a *attempt) expandImage(spec pipeline.Image) executor.Image {
	image := executor.Image{
		Name: a.env.expand(spec.Name), Alias: a.env.expand(spec.Alias),
		Entrypoint: a.env.expandAll(spec.Entrypoint), Command: a.env.expandAll(spec.Command), PullPolicy: spec.PullPolicy,
		Variables: map[string]string{},
	}
	for _, v := range spec.Variables {
		image.Variables[v.Key] = a.env.expand(v.Value)
	}
	if options, ok := spec.Docker.(map[string]any); ok {
		option := func(name string) string {
			value, given := options[name]
			if !given {
				return ""
			}
			return a.env.expand(fmt.Sprint(value))
		}
		image.User, image.Platform = option("user"), option("platform")
	}
	return image
}

// A NoEngineError is the error of jobs with an image if there is no container engine to run them.
type NoEngineError struct{ Jobs []string }

func (e *NoEngineError) Error() string {
	return fmt.Sprintf("%s an image, and neither docker nor podman works here: install one of them, or run jobs on this machine without their images",
		nameJobs(e.Jobs))
}

func nameJobs(jobs []string) string {
	if len(jobs) == 1 {
		return "the job " + jobs[0] + " names"
	}
	shown := strings.Join(jobs[:min(len(jobs), 3)], ", ")
	if more := len(jobs) - 3; more > 0 {
		shown += fmt.Sprintf(" and %d more", more)
	}
	return "the jobs " + shown + " name"
}

// checkEngine returns an error if jobs of the run need a container engine and there is none. Manual jobs that are not approved do not count.
func (r *run) checkEngine() error {
	var jobs []string
	for _, n := range r.nodes {
		if r.image(n.job) != nil && n.job.Trigger == nil && !n.state.Status.finished() && (n.job.When != pipeline.Manual || n.approved) {
			jobs = append(jobs, n.state.Name)
		}
	}
	if len(jobs) == 0 || executor.HasEngine(r.executor) {
		return nil
	}
	return &NoEngineError{Jobs: jobs}
}
