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
	// command is the command line, and its environment, that runs a script with the variables.
	command(a *attempt, script string, variables map[string]string) (args, environ []string)
	// stop ends what start began.
	stop(a *attempt)
}

// newExecutor chooses where jobs run.
func newExecutor(options Options, bash string) (executor, error) {
	switch options.Executor {
	case "", "shell":
		return shellExecutor{bash}, nil
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

func (e shellExecutor) command(a *attempt, script string, variables map[string]string) (args, environ []string) {
	environ = slices.Clone(a.run.machine)
	environ = append(environ, "TMPDIR="+a.build.temporary)
	for key, value := range variables {
		environ = append(environ, key+"="+value)
	}
	// A variable that is set twice is the machine's and the job's: the job's holds.
	return []string{e.bash, "--noprofile", "--norc", script}, lastWins(environ)
}

func (e shellExecutor) stop(*attempt) {}

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
