package runner

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// An executor is where jobs run.
type executor interface {
	// start makes ready what the job's scripts need: images, services. After an error, stop is called all the same.
	start(ctx context.Context, a *attempt) error
	// prologue is what comes first in a script that runs with the variables.
	prologue(a *attempt, variables map[string]string) string
	// command is the command line, and its environment, that runs a script with the variables.
	command(a *attempt, name, script string, variables map[string]string) (args, environ []string, err error)
	// stop ends what start began.
	stop(a *attempt)
	// sweep ends what killed runs of the project left; alive tells the runs that are going on.
	sweep(ctx context.Context, project string, alive func(run int) bool)
}

// newExecutor chooses where jobs run.
func newExecutor(ctx context.Context, options Options, bash string, machine []string) (executor, error) {
	shell := shellExecutor{bash}
	switch options.Executor {
	case "", "shell":
		return shell, nil
	case "docker", "podman":
		return newContainers(ctx, options.Executor, options.ContainerEngine, machine)
	case "auto":
		for _, engine := range []string{"docker", "podman"} {
			if c, err := newContainers(ctx, engine, options.ContainerEngine, machine); err == nil {
				return automatic{containers: c, shell: shell}, nil
			}
		}
		return shell, nil
	}
	return nil, fmt.Errorf("there is no executor %q: shell, docker, podman or auto", options.Executor)
}

// shellExecutor runs jobs as processes of this machine.
type shellExecutor struct{ bash string }

func (e shellExecutor) start(_ context.Context, a *attempt) error {
	if image := a.node.job.Image; image != nil {
		a.logf("Running on this machine, not in the image %s", a.env.expand(image.Name))
	}
	for _, s := range a.node.job.Services {
		a.logf("The service %s is not started: that takes containers (--executor docker or podman)", a.env.expand(s.Name))
	}
	return nil
}

func (e shellExecutor) prologue(*attempt, map[string]string) string { return bashPrologue }

func (e shellExecutor) command(a *attempt, _, script string, variables map[string]string) (args, environ []string, err error) {
	environ = slices.Clone(a.run.machine)
	environ = append(environ, "TMPDIR="+a.build.temporary)
	for key, value := range variables {
		environ = append(environ, key+"="+value)
	}
	// A variable that is set twice is the machine's and the job's: the job's holds.
	return []string{e.bash, "--noprofile", "--norc", script}, lastWins(environ), nil
}

func (e shellExecutor) stop(*attempt) {}

func (e shellExecutor) sweep(context.Context, string, func(int) bool) {}

// automatic runs jobs that name an image in containers, and others as processes of this machine.
type automatic struct {
	*containers
	shell shellExecutor
}

func (e automatic) of(a *attempt) executor {
	if a.node.job.Image == nil {
		return e.shell
	}
	return e.containers
}

func (e automatic) start(ctx context.Context, a *attempt) error { return e.of(a).start(ctx, a) }

func (e automatic) prologue(a *attempt, variables map[string]string) string {
	return e.of(a).prologue(a, variables)
}

func (e automatic) command(a *attempt, name, script string, variables map[string]string) (args, environ []string, err error) {
	return e.of(a).command(a, name, script, variables)
}

func (e automatic) stop(a *attempt) { e.of(a).stop(a) }

// lastWins drops all but the last setting of each variable.
func lastWins(environ []string) []string {
	seen := map[string]bool{}
	kept := make([]string, 0, len(environ))
	for _, entry := range slices.Backward(environ) {
		name, _, _ := strings.Cut(entry, "=")
		if !seen[name] {
			seen[name] = true
			kept = append(kept, entry)
		}
	}
	slices.Reverse(kept)
	return kept
}
