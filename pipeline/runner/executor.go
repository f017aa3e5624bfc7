package runner

import (
	"fmt"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/executor"
)

// executorConfig is what the executor of the run gets to know of it.
func (r *run) executorConfig() executor.Config {
	return executor.Config{
		Name: r.options.Executor, Engine: r.options.ContainerEngine, Project: r.project,
		CallerEnv: r.options.Env, JobEnv: r.machine,
		Supervisor: r.options.Supervisor, Grace: r.options.Grace, Kill: r.options.Kill,
	}
}

// executorJob is what the executor gets to know of the attempt, with all variables expanded.
func (a *attempt) executorJob() executor.Job {
	job := executor.Job{
		Run: a.run.number, ID: a.id, Variables: a.env.variables,
		Root: a.build.root, Project: a.build.project, Scripts: a.build.temporaryProject(), Temporary: a.build.temporary,
		Sources: a.run.definition.Sources.Dir, Logf: a.logf,
	}
	if image := a.node.job.Image; image != nil {
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
