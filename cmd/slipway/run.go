package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// newRunCommand is `slipway run`: the jobs of an event, executed here.
func newRunCommand() *cobra.Command {
	var project projectFlags
	var event eventFlags
	var play runFlags
	var options runner.Options
	var execution executionFlags
	var needs bool
	command := &cobra.Command{
		Use:   "run [JOB...]",
		Short: "Run the jobs of a pipeline on this machine",
		Long: `Run the jobs of a pipeline on this machine, as GitLab and its runner would: for a push of the
current branch, or the event that the flags describe. With names of jobs, only those run, and what
they need: the jobs in their needs, or else all of earlier stages. --reuse takes the results of
these from earlier runs, --needs=false leaves them out.

Every job gets its own checkout of the commit with the uncommitted changes. Jobs that name an
image run in it, with docker or podman. Others, and with --executor shell all, run on this
machine, with their own HOME and, where bubblewrap is installed, a disk that is read-only
outside of their folders. Logs, artifacts and reports stay in .slipway/runs.

The run stops at manual jobs, and at automatic ones that deploy to staging or production unless
--deploy is given. On a terminal it asks; otherwise "slipway approve" continues later with the same
sources and artifacts. A job that is named needs no question.

Exit codes: 0 passed, or waiting at a manual job; 1 a job failed, or the run was canceled; 2 it
could not run.`,
		Example: `  slipway run
  slipway run --event merge_request --branch feature --target main
  slipway run lint test --jobs 2
  slipway run deploy-staging --reuse
  slipway run --executor shell --on-failure shell
  slipway run --approve deploy-staging --variables .slipway/variables.yml`,
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx := cmd.Context()
			plan, err := planOfEvent(cmd, &project, &event, &options)
			if plan == nil || err != nil {
				return err
			}
			choose := runner.Select
			if !needs {
				choose = runner.SelectOnly
			}
			if plan, err = choose(plan, names); err != nil {
				return err
			}
			options.Named = names
			if err := play.apply(cmd, &options); err != nil {
				return err
			}
			if err := execution.apply(ctx, &options); err != nil {
				return err
			}
			return finish(runner.Run(ctx, plan, options))
		},
	}
	project.bind(command)
	event.bind(command, &project)
	play.bind(command)
	execution.bind(command)
	flags := command.Flags()
	flags.BoolVar(&needs, "needs", true, "run also what the named jobs need")
	flags.BoolVar(&options.Reuse, "reuse", false, "take the results of jobs that are not named from the latest run in which they passed")
	flags.StringArrayVar(&options.Approve, "approve", nil, "run this manual `JOB` without asking (repeatable)")
	flags.StringVar(&options.ApproveHint, "approve-hint", "", "the `COMMAND` that a person approves with (default: slipway approve JOB)")
	command.ValidArgsFunction = completeJobs(&project)
	_ = command.RegisterFlagCompletionFunc("approve", completeJobs(&project))
	flags.BoolVar(&options.WholeHistory, "whole-history", false, "give jobs all commits, branches and tags, whatever GIT_DEPTH says")
	flags.BoolVar(&options.NoDelay, "no-delay", false, "start delayed jobs immediately")
	flags.IntVar(&options.Keep, "keep", 10, "`NUMBER` of runs that stay in .slipway/runs")
	return command
}

// planOfEvent compiles the project for the event of the flags. A pipeline that GitLab would not create is not an error: it is printed, and
// there is no plan.
func planOfEvent(cmd *cobra.Command, project *projectFlags, event *eventFlags, options *runner.Options) (*pipeline.Plan, error) {
	ctx := cmd.Context()
	loaded, happened, err := event.load(ctx, project)
	if err != nil {
		return nil, err
	}
	plan, err := loaded.Plan(ctx, happened)
	if err != nil {
		return nil, fmt.Errorf("the configuration is not valid:\n%w", err)
	}
	if !plan.Created {
		fmt.Fprintf(cmd.OutOrStdout(), "GitLab would run no job for this event (%s): see `slipway plan`\n", render.NotCreated(plan.Reason))
		return nil, nil
	}
	options.Dir, options.ChildPlan, options.CommittedOnly = project.dir, loaded.ChildPlan, project.committed
	return plan, nil
}
