package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// newShellCommand is `slipway shell`: a person in the place of a job's script.
func newShellCommand() *cobra.Command {
	var project projectFlags
	var event eventFlags
	var play runFlags
	var execution executionFlags
	var options runner.Options
	command := &cobra.Command{
		Use:   "shell JOB",
		Short: "Open a shell with a job's image, sources, variables and artifacts",
		Long: `Open a shell instead of a job's script: in the job's image if it names one, with its
services, sources, variables and caches, and with the artifacts of earlier jobs from the latest
run in which they passed. Nothing of it is kept.

"slipway run --on-failure shell" opens one in a job that has failed, before its files are removed.`,
		Example: `  slipway shell unit
  slipway shell deploy-staging --event merge_request --executor shell`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, names []string) error {
			ctx := cmd.Context()
			plan, err := planOfEvent(cmd, &project, &event, &options)
			if err != nil {
				return err
			}
			if plan == nil {
				return exitError(1)
			}
			if options.Terminal = terminalOf(cmd); options.Terminal == nil {
				return errors.New("slipway shell needs a terminal or a file as standard input and output")
			}
			if err := play.apply(cmd, &options); err != nil {
				return err
			}
			if err := execution.apply(ctx, &options); err != nil {
				return err
			}
			errs := cmd.ErrOrStderr()
			options.Output = true
			options.Observe = func(u runner.Update) {
				switch u.Kind {
				case runner.Note, runner.JobOutput:
					name := ""
					if u.Job != nil && u.Kind == runner.Note {
						name = u.Job.Name + ": "
					}
					fmt.Fprintln(errs, name+u.Message)
				}
			}
			return finish(runner.Result{Status: runner.RunSuccess}, runner.Shell(ctx, plan, names[0], options))
		},
	}
	project.bind(command)
	event.bind(command, &project)
	play.bind(command)
	execution.bind(command)
	command.ValidArgsFunction = completeJobs(&project)
	return command
}
