package main

import (
	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// newApproveCommand is `slipway approve`: a person's yes to a manual job, after the run has ended.
func newApproveCommand() *cobra.Command {
	var play runFlags
	var options runner.Options
	var number int
	command := &cobra.Command{
		Use:   "approve [JOB]",
		Short: "Start a manual job of a run, with what that run has built and tested",
		Long: `Start a manual job of a run, and what depends on it: of the latest run, or the one that --run
names. Without JOB it is the one that the run waits for.

The job gets the sources as they were when the run began, and the run's artifacts and dotenv
variables; nothing is built again. A run that failed cannot be approved, nor a job twice.`,
		Example: `  slipway approve
  slipway approve deploy-rollback --input digest=sha256:1f5d
  slipway approve deploy-production --run 12`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeRunJobs(&options.Dir, &number),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := play.apply(cmd, &options); err != nil {
				return err
			}
			job := ""
			if len(args) > 0 {
				job = args[0]
			}
			return finish(runner.Resume(cmd.Context(), number, job, options))
		},
	}
	bindRun(command, &options.Dir, &number)
	bindJobInputs(command, &options.Inputs)
	play.bind(command)
	return command
}
