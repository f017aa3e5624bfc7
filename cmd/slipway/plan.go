package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// newPlanCommand is `slipway plan`: the pipeline that an event would create.
func newPlanCommand() *cobra.Command {
	var where projectFlags
	var what eventFlags
	var why string
	format := newFormat("text", "json", "mermaid")
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show the jobs, stages and edges of the pipeline that an event would create",
		Long: `Show the jobs, stages and edges of the pipeline that an event would create, and the jobs that it
leaves out.

An event that gets no pipeline is an answer, not an error. Exit codes: 0; 1 if GitLab would refuse
the configuration.`,
		Example: `  slipway plan                                         # a push of the current commit
  slipway plan --event tag --tag v1.2.3
  slipway plan --event merge_request --fork --changed go.mod
  slipway plan --event schedule --why fuzz             # which rule lets the job in, or keeps it out
  slipway plan --format mermaid                        # a graph that GitLab shows in Markdown
  slipway plan --format json | jq '.jobs[].name'`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			project, event, err := what.load(cmd.Context(), &where)
			if err != nil {
				return err
			}
			plan, err := project.Plan(cmd.Context(), event)
			if err != nil {
				return refused(cmd, err, format.value)
			}
			if why != "" {
				config, err := project.Config(cmd.Context(), event)
				if err != nil {
					return err
				}
				return writeWhy(cmd.OutOrStdout(), plan, config.Jobs(), why)
			}
			switch format.value {
			case "json":
				return render.JSON(cmd.OutOrStdout(), plan)
			case "mermaid":
				return render.Mermaid(cmd.OutOrStdout(), plan)
			default:
				return render.Text(cmd.OutOrStdout(), plan, palette(cmd.OutOrStdout()))
			}
		},
	}
	where.bind(cmd)
	what.bind(cmd, &where)
	format.bind(cmd)
	cmd.Flags().StringVar(&why, "why", "", "report which rule lets this `JOB` in, or keeps it out")
	_ = cmd.RegisterFlagCompletionFunc("why", completeJobs(&where))
	return cmd
}

// refused prints why GitLab would not take the configuration; it is the answer "no", exit code 1.
func refused(cmd *cobra.Command, err error, format string) error {
	var list pipeline.Errors
	if !errors.As(err, &list) {
		return err
	}
	if format == "json" {
		if err := render.ErrorJSON(cmd.OutOrStdout(), err); err != nil {
			return err
		}
		return exitError(1)
	}
	printErrors(cmd, list)
	return exitError(1)
}

// printErrors prints the problems of a configuration to standard error.
func printErrors(cmd *cobra.Command, errs pipeline.Errors) {
	color := palette(cmd.ErrOrStderr())
	for _, e := range errs {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s %s\n", color.Red("error:"), e.Error())
	}
}

func writeWhy(w io.Writer, plan *pipeline.Plan, jobs []string, job string) error {
	found, err := render.Why(w, plan, jobs, job, palette(w))
	if err != nil || found {
		return err
	}
	names := planJobNames(plan)
	if len(names) == 0 {
		return fmt.Errorf("no job %q in the configuration; and there is no pipeline for this event", job)
	}
	if near := spelling.Closest(job, names); near != "" {
		return fmt.Errorf("no job %q; did you mean %q?", job, near)
	}
	return fmt.Errorf("no job %q; there are %s", job, strings.Join(names, ", "))
}

// planJobNames are the jobs of a plan and those that it leaves out, by their names in the configuration.
func planJobNames(plan *pipeline.Plan) []string {
	var names []string
	for _, job := range slices.Concat(plan.Jobs, plan.Dropped) {
		if name := job.BaseName; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
