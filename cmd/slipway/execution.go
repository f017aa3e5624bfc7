package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline/runner"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/tools"
)

// executionFlags say what jobs run in: this machine or containers, and with what of them. A run that goes on later keeps them.
type executionFlags struct {
	executor   string
	runner     string
	noSandbox  bool
	writable   []string
	containers runner.ContainerOptions
	passEnv    []string
	toolsDir   string
}

func (f *executionFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.executor, "executor", "auto", "`NAME` of the executor: auto (their image, if they name one), shell, docker, podman")
	flags.StringVar(&f.runner, "runner", "", "`PATH` of a gitlab-runner that executes the jobs, with its shell or docker executor")
	flags.BoolVar(&f.noSandbox, "no-sandbox", false, "let jobs on this machine write wherever you can")
	flags.StringArrayVar(&f.writable, "writable", nil, "`DIR` that jobs on this machine can write to (repeatable)")
	flags.StringVar(&f.containers.Image, "image", "", "`IMAGE` of jobs without one")
	flags.StringVar(&f.containers.PullPolicy, "pull-policy", "", "`POLICY` of images without one: always, if-not-present, never")
	flags.StringArrayVar(&f.containers.Volumes, "volume", nil, "`MOUNT` in the containers, as docker's --volume (repeatable)")
	flags.StringVar(&f.containers.Network, "network", "", "`NAME` of an existing network for the containers")
	flags.BoolVar(&f.containers.Privileged, "privileged", false, "give containers full access to the machine, as docker-in-docker needs")
	flags.StringArrayVar(&f.passEnv, "env", nil, "pass this environment `VARIABLE` on to the jobs (repeatable)")
	flags.StringVar(&f.toolsDir, "tools", "", "`DIR` with a go.mod whose tools jobs can call (default: tools, if it has one; none: -)")
	for name, values := range map[string][]string{
		"executor": {"auto", "shell", "docker", "podman"}, "pull-policy": {"always", "if-not-present", "never"},
	} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	_ = cmd.MarkFlagDirname("writable")
	_ = cmd.MarkFlagFilename("runner")
}

// apply sets what the flags say, and builds the project's tools.
func (f *executionFlags) apply(ctx context.Context, o *runner.Options) (err error) {
	o.Hints = runHints
	o.Executor, o.NoSandbox, o.Containers, o.PassEnv = f.executor, f.noSandbox, f.containers, f.passEnv
	if f.runner != "" {
		if o.GitLabRunner, err = gitlabRunnerPath(f.runner); err != nil {
			return err
		}
	}
	for _, folder := range f.writable {
		if folder, err = filepath.Abs(folder); err != nil {
			return err
		}
		o.Writable = append(o.Writable, folder)
	}
	o.Tools, err = buildTools(ctx, f.toolsDir, o)
	return err
}

// gitlabRunnerPath is the absolute path of a gitlab-runner that was given as a path, or as a name in the PATH.
func gitlabRunnerPath(given string) (string, error) {
	path, err := exec.LookPath(given)
	if err != nil {
		return "", fmt.Errorf("--runner: %w; install gitlab-runner, or name its path", err)
	}
	return filepath.Abs(path)
}

// buildTools builds the project's tools, if it has any, and returns their folder.
func buildTools(ctx context.Context, dir string, o *runner.Options) (string, error) {
	switch dir {
	case "-":
		return "", nil
	case "":
		dir = filepath.Join(o.Dir, "tools")
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
	}
	cache, err := runner.CacheDir(o.CacheDir)
	if err != nil {
		return "", err
	}
	return tools.Build(ctx, dir, tools.Options{CacheDir: cache, Env: os.Environ(), Progress: func(message string) {
		o.Observe(runner.Update{Time: time.Now(), Kind: runner.Note, Message: message})
	}})
}
