package render

import (
	"bufio"
	"fmt"
	"io"
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// Why writes which rule created or excluded a job, for each job of that name (a matrix job has several), with the rules
// that were evaluated and the variables that they saw. It reports whether there is such a job. Where there is no pipeline, no
// job was evaluated; jobs are the names in the configuration then, for which the decision on the pipeline is the answer.
func Why(w io.Writer, plan *pipeline.Plan, jobs []string, name string, color Palette) (found bool, err error) {
	out := bufio.NewWriter(w)
	label := EventLabel(plan.Event)
	for _, job := range plan.Jobs {
		if job.Name != name && job.BaseName != name {
			continue
		}
		if found {
			fmt.Fprintln(out)
		}
		found = true
		fmt.Fprintf(out, "%s is %s of: %s\n", color.Bold(job.Name), color.Green("part"), label)
		because(out, job, color)
		if traits := traitsOf(job); traits != "" {
			fmt.Fprintf(out, "  starts    %s\n", traits)
		}
		waits := waitsFor(plan, job)
		if waits == startsImmediately {
			waits = "for nothing"
		}
		fmt.Fprintf(out, "  waits     %s\n", waits)
	}
	for _, job := range plan.Dropped {
		if found || job.Name != name && job.BaseName != name {
			continue
		}
		found = true
		fmt.Fprintf(out, "%s is %s of: %s\n", color.Bold(name), color.Yellow("not part"), label)
		because(out, job, color)
	}
	switch {
	case plan.Created:
	case found:
		fmt.Fprintf(out, "  pipeline  none, %s\n", NotCreated(plan.Reason))
	case slices.Contains(jobs, name):
		found = true
		fmt.Fprintf(out, "%s is %s of: %s\n", color.Bold(name), color.Yellow("not part"), label)
		fmt.Fprintf(out, "  because   there is no pipeline: %s\n", plan.Decision.Text)
		checks(out, plan.Decision.Checks, color)
	}
	return found, out.Flush()
}

func because(w io.Writer, job *pipeline.Job, color Palette) {
	fmt.Fprintf(w, "  because   %s\n", job.Decision.Text)
	if at := job.Decision.Position.String(); at != "" {
		fmt.Fprintf(w, "  decided   %s\n", at)
	}
	if at := job.Source.String(); at != "" {
		fmt.Fprintf(w, "  defined   %s\n", at)
	}
	checks(w, job.Decision.Checks, color)
}

// checks lists rules with their results and the variables that they saw.
func checks(w io.Writer, list []pipeline.Check, color Palette) {
	for _, check := range list {
		name := check.Keyword
		if name != "only" && name != "except" {
			name = fmt.Sprintf("rules[%d]", check.Index)
		}
		result := map[pipeline.CheckResult]string{
			pipeline.Matched: color.Green("yes"), pipeline.NotMatched: "no ", pipeline.NotEvaluated: color.Dim("-  "), pipeline.Failed: color.Red("?  "),
		}[check.Result]
		fmt.Fprintf(w, "  %s  %s  %s  %s\n", Pad(name, len("rules[0]")), result, check.Text, color.Dim(check.Position.String()))
		for _, v := range check.Variables {
			text := "$" + v.Name + " is not set"
			if v.Set {
				text = fmt.Sprintf("$%s is %q", v.Name, v.Value)
			}
			fmt.Fprintf(w, "                 %s\n", color.Dim(text))
		}
	}
}
