package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline/render"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/tools"
)

// newRunCommand is `slipway run`: the jobs of an event, executed here.
func newRunCommand() *cobra.Command {
	var project projectFlags
	var event eventFlags
	var play playFlags
	var options runner.Options
	var toolsDir string
	command := &cobra.Command{
		Use:   "run [JOB...]",
		Short: "Run the jobs of a pipeline on this machine",
		Long: `Run the jobs of a pipeline on this machine, as GitLab and its runner would: for a push of the current branch, or the
event that the flags describe. With names of jobs, only those run, and what they need.

Every job gets its own checkout of the commit with the uncommitted changes. Jobs are processes of this machine, or run in
their images with --executor docker or podman. Logs, artifacts and reports stay in .slipway/runs.

The run stops at manual jobs. On a terminal it asks; otherwise "slipway approve" goes on later with the same sources and artifacts.

Exit codes: 0 passed, or waiting at a manual job; 1 a job failed, or the run was canceled; 2 it could not run.`,
		Example: `  slipway run
  slipway run --event merge_request --branch feature --target main
  slipway run lint test --jobs 2
  slipway run --approve deploy-staging --variables .slipway/variables.yml`,
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx := cmd.Context()
			loaded, happened, err := event.load(ctx, &project)
			if err != nil {
				return err
			}
			plan, err := loaded.Plan(ctx, happened)
			if err != nil {
				return fmt.Errorf("the configuration is not valid:\n%w", err)
			}
			if !plan.Created {
				fmt.Fprintf(cmd.OutOrStdout(), "GitLab would run no job for this event (%s): `slipway plan` says more\n", render.NotCreated(plan.Reason))
				return nil
			}
			if plan, err = runner.Select(plan, names); err != nil {
				return err
			}
			options.Dir, options.ChildPlan, options.CommittedOnly = project.dir, loaded.ChildPlan, project.committed
			if err := play.apply(cmd, &options); err != nil {
				return err
			}
			if options.Tools, err = buildTools(ctx, toolsDir, &options); err != nil {
				return err
			}
			result, err := runner.Run(ctx, plan, options)
			return conclude(result, err)
		},
	}
	project.bind(command)
	event.bind(command, &project)
	play.bind(command)
	flags := command.Flags()
	flags.StringArrayVar(&options.Approve, "approve", nil, "run this manual `JOB` without a question (repeatable)")
	flags.StringVar(&options.ApproveHint, "approve-hint", "", "the `COMMAND` that a person is told to approve with (default: slipway approve JOB)")
	flags.StringVar(&toolsDir, "tools", "", "`DIR` with a go.mod whose tools jobs can call (default: tools, if it has one; none: -)")
	flags.StringVar(&options.Executor, "executor", "shell", "`NAME` of what jobs run in: shell, docker, podman, or auto (containers if there are any)")
	flags.StringArrayVar(&options.PassEnv, "env", nil, "pass this environment `VARIABLE` on to the jobs (repeatable)")
	command.ValidArgsFunction = completeJobs(&project)
	_ = command.RegisterFlagCompletionFunc("approve", completeJobs(&project))
	_ = command.RegisterFlagCompletionFunc("executor", cobra.FixedCompletions([]string{"shell", "docker", "podman", "auto"}, cobra.ShellCompDirectiveNoFileComp))
	flags.BoolVar(&options.NoDelay, "no-delay", false, "start delayed jobs at once")
	flags.IntVar(&options.Keep, "keep", 10, "`NUMBER` of runs that stay in .slipway/runs")
	return command
}

// buildTools builds the project's tools, if it has any, and gives their folder.
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
