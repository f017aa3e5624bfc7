package lint

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// Text writes findings for people, one paragraph each, and ends with the sum.
func Text(w io.Writer, findings []Finding, color render.Palette) error {
	out := bufio.NewWriter(w)
	for _, f := range findings {
		severity := color.Yellow(string(f.Severity))
		if f.Severity == Error {
			severity = color.Red(string(f.Severity))
		}
		fmt.Fprintf(out, "%s: %s: %s %s\n", color.Bold(place(f.Position)), severity, describe(f), color.Dim("["+f.Rule+"]"))
		if f.Hint != "" {
			fmt.Fprintf(out, "    %s\n", f.Hint)
		}
		if len(f.Events) > 0 {
			fmt.Fprintf(out, "    %s\n", color.Dim("on: "+strings.Join(f.Events, "; ")))
		}
	}
	errors := Errors(findings)
	fmt.Fprintln(out, sum(errors, len(findings)-errors))
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

// describe is the message with the key path before it.
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
	return render.Place(p)
}
