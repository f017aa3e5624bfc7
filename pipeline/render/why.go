package render

import (
	"bufio"
	"fmt"
	"io"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// Why writes which rule let a job in or kept it out, for each job of that name (a matrix job has several). It reports
// whether the configuration has such a job.
func Why(w io.Writer, plan *pipeline.Plan, name string, color Palette) (found bool, err error) {
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
		because(out, job)
		if traits := Traits(job); traits != "" {
			fmt.Fprintf(out, "  starts    %s\n", traits)
		}
		fmt.Fprintf(out, "  waits     %s\n", waitsFor(plan, job))
	}
	for _, job := range plan.Dropped {
		if found || job.Name != name && job.BaseName != name {
			continue
		}
		found = true
		fmt.Fprintf(out, "%s is %s of: %s\n", color.Bold(name), color.Yellow("not part"), label)
		because(out, job)
	}
	switch {
	case plan.Created:
	case found:
		fmt.Fprintf(out, "  pipeline  none, %s\n", NotCreated(plan.Reason))
	case plan.Reason == "workflow":
		// No job was looked at: whether there is one of that name is not known.
		found = true
		fmt.Fprintf(out, "%s is %s of: %s\n  because   there is no pipeline, %s\n", color.Bold(name), color.Yellow("not part"), label, NotCreated(plan.Reason))
	}
	return found, out.Flush()
}

func because(w io.Writer, job *pipeline.Job) {
	fmt.Fprintf(w, "  because   %s\n", job.Decision.Text)
	if at := Place(job.Decision.Position); at != "" {
		fmt.Fprintf(w, "  decided   %s\n", at)
	}
	if at := Place(job.Source); at != "" {
		fmt.Fprintf(w, "  defined   %s\n", at)
	}
}

// Place writes a position as "file:line"; empty if it is not known.
func Place(p pipeline.Position) string {
	switch {
	case p.File == "":
		return ""
	case p.Line == 0:
		return p.File
	default:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
}
