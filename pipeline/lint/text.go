package lint

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// maxPlaces is how many places of one problem the text lists.
const maxPlaces = 5

// Text writes findings as text, one paragraph per problem, and ends with their number. A problem that is found at several places
// is described once. Known is the number of findings that the baseline accepts.
func Text(w io.Writer, findings []Finding, known int, color render.Palette) error {
	out := bufio.NewWriter(w)
	problems := groups(findings)
	errors := 0
	for _, group := range problems {
		f := group[0]
		severity := color.Yellow(string(f.Severity))
		if f.Severity == Error {
			severity = color.Red(string(f.Severity))
			errors++
		}
		fmt.Fprintf(out, "%s: %s: %s %s\n", color.Bold(place(f.Position)), severity, describe(f), color.Dim("["+f.Rule+"]"))
		if f.Hint != "" {
			fmt.Fprintf(out, "    %s\n", f.Hint)
		}
		for _, other := range group[1:min(len(group), maxPlaces)] {
			fmt.Fprintf(out, "    %s\n", color.Dim("also "+place(other.Position)+": "+other.Path))
		}
		if more := len(group) - maxPlaces; more > 0 {
			fmt.Fprintf(out, "    %s\n", color.Dim(fmt.Sprintf("and %d more; the JSON format lists all", more)))
		}
		if len(f.Events) > 0 {
			fmt.Fprintf(out, "    %s\n", color.Dim("on: "+strings.Join(f.Events, "; ")))
		}
	}
	summary := sum(errors, len(problems)-errors)
	if len(findings) > len(problems) {
		summary += fmt.Sprintf(" (at %d places)", len(findings))
	}
	if known > 0 {
		summary += fmt.Sprintf("; %d known in the baseline", known)
	}
	fmt.Fprintln(out, summary)
	return out.Flush()
}

func sum(errors, warnings int) string {
	switch {
	case errors == 0 && warnings == 0:
		return "no problems"
	case errors == 0:
		return render.Count(warnings, "warning")
	case warnings == 0:
		return render.Count(errors, "error")
	default:
		return render.Count(errors, "error") + ", " + render.Count(warnings, "warning")
	}
}

// describe returns the message with the key path before it.
func describe(f Finding) string {
	if f.Path == "" {
		return f.Message
	}
	return f.Path + ": " + f.Message
}

func place(p pipeline.Position) string {
	if p.Line > 0 && p.Column > 0 {
		return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	return p.String()
}
