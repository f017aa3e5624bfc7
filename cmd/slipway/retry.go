package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// newRetryCommand is `slipway retry`: jobs of a run once more, without those that passed.
func newRetryCommand() *cobra.Command {
	var play runFlags
	var options runner.Options
	var number int
	command := &cobra.Command{
		Use:   "retry [JOB...]",
		Short: "Run failed jobs of a run again, with its sources and artifacts",
		Long: `Run jobs of a run again, and then what depends on them: of the latest run, or the one that --run
names. Without JOB these are the jobs that failed or were canceled.

The jobs get the sources as they were when the run began: to test a change, start a new run
("slipway run JOB --reuse").`,
		Example: `  slipway retry
  slipway retry unit --on-failure shell
  slipway retry deploy-staging --run 12`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if err := play.apply(cmd, &options); err != nil {
				return err
			}
			return finish(runner.Retry(cmd.Context(), number, names, options))
		},
		ValidArgsFunction: completeRunJobs(&options.Dir, &number),
	}
	bindRun(command, &options.Dir, &number)
	bindJobInputs(command, &options.Inputs)
	play.bind(command)
	return command
}

// bindRun adds the flags that say which run of which project is meant.
func bindRun(cmd *cobra.Command, dir *string, number *int) {
	flags := cmd.Flags()
	flags.StringVarP(dir, "directory", "C", ".", "`FOLDER` of the project")
	flags.IntVar(number, "run", 0, "`NUMBER` of the run (default: the latest)")
	_ = cmd.MarkFlagDirname("directory")
}

// bindJobInputs adds the flag for the inputs of the jobs that start.
func bindJobInputs(cmd *cobra.Command, inputs *map[string]string) {
	cmd.Flags().Var((*jobInputs)(inputs), "input", "input of the job, `NAME=VALUE` (repeatable; arrays, numbers and booleans as JSON)")
}

// jobInputs is a flag that collects NAME=VALUE, with whatever is in the values.
type jobInputs map[string]string

func (i *jobInputs) Set(text string) error {
	name, value, found := strings.Cut(text, "=")
	if !found || name == "" {
		return fmt.Errorf("want NAME=VALUE, not %q", text)
	}
	if *i == nil {
		*i = jobInputs{}
	}
	(*i)[name] = value
	return nil
}

func (i *jobInputs) Type() string { return "NAME=VALUE" }

func (i *jobInputs) String() string { return "" }

// completeRunJobs offers the jobs of a run.
func completeRunJobs(dir *string, number *int) completion {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		past, err := runner.Find(*dir, *number)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var names []string
		for _, job := range past.Jobs {
			names = append(names, job.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
