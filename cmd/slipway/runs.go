package main

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// newRunsCommand is `slipway runs`: the runs that are on disk.
func newRunsCommand() *cobra.Command {
	var dir, format string
	command := &cobra.Command{
		Use:   "runs",
		Short: "List the runs of this project that are kept",
		Long: `List the runs of this project that are kept in .slipway/runs, the latest first: number, state,
when it began, how long it took, what ran, and the jobs that did not pass.`,
		Example: `  slipway runs
  slipway runs --format json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			runs, err := runner.History(dir)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			switch format {
			case "text":
			case "json":
				return writeJSON(out, append([]runner.Past{}, runs...))
			default:
				return fmt.Errorf("--format %q: want text or json", format)
			}
			if len(runs) == 0 {
				fmt.Fprintln(out, "There is no run yet: start one with `slipway run`")
				return nil
			}
			table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			for _, past := range runs {
				took := ""
				if !past.Finished.IsZero() {
					took = past.Finished.Sub(past.Started).Round(100 * time.Millisecond).String()
				}
				fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\t%s\n", past.Run, past.Status, past.Started.Format(time.DateTime), took, past.Title, notPassed(past))
			}
			return table.Flush()
		},
	}
	flags := command.Flags()
	flags.StringVarP(&dir, "directory", "C", ".", "`FOLDER` of the project")
	flags.StringVar(&format, "format", "text", "`NAME` of the output: text or json")
	_ = command.MarkFlagDirname("directory")
	return command
}

// notPassed names the jobs of a run that failed or wait.
func notPassed(past runner.Past) string {
	var words []string
	for _, job := range past.Jobs {
		if job.Status == runner.Failed && !job.Allowed || job.Status == runner.Manual && job.Blocking || job.Status == runner.Running {
			words = append(words, job.Name+" "+string(job.Status))
		}
	}
	return strings.Join(words, ", ")
}
