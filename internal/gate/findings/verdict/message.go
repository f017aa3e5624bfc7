package verdict

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

// Advice is what a message contains in addition to the verdict.
type Advice struct {
	// Accepted is the file of accepted risks, Page the address of the documentation.
	Accepted, Page string
	Now            time.Time
}

// Write writes the decision. What stops the change comes last, where readers of a job's log look first: what, where, how to fix it,
// how to accept it.
func (v *Verdict) Write(w io.Writer, a Advice) {
	fmt.Fprintln(w, v.summary())
	for _, j := range v.Of(Accepted) {
		fmt.Fprintf(w, "accepted  %s  %s until %s: %s\n", line(j), j.Risk.Owner, j.Risk.Expires.Format(time.DateOnly), j.Risk.Reason)
	}
	for _, r := range v.Unused {
		fmt.Fprintf(w, "warning: %s: no finding matches the accepted risk %s any more; remove the entry\n", r.Position, r.Rule)
	}
	if len(v.Incomplete) > 0 {
		fmt.Fprintln(w, "\nThe scan is incomplete, so it proves nothing:")
		for i, text := range v.Incomplete {
			if i == 10 {
				fmt.Fprintf(w, "  and %d more\n", len(v.Incomplete)-i)
				break
			}
			fmt.Fprintln(w, "  "+strings.ReplaceAll(text, "\n", " "))
		}
		fmt.Fprintln(w, "How to fix it: make these compile in the scanner's job (same Go version, modules, build tags).")
	}
	for _, text := range v.Stale {
		fmt.Fprintln(w, "\nThe database is too old: "+text)
	}
	stopping := v.Of(Blocking, Expired)
	if len(stopping) == 0 {
		return
	}
	fmt.Fprintln(w)
	advised := map[string]bool{} // a rule's advice is printed once
	for _, j := range stopping {
		fmt.Fprintf(w, "%-8s  %s\n", strings.ToUpper(j.Finding.Severity.String()), line(j))
		if j.Outcome == Expired {
			fmt.Fprintf(w, "          accepted by %s until %s, which is over (%s)\n", j.Risk.Owner, j.Risk.Expires.Format(time.DateOnly), j.Risk.Position)
		}
		for _, f := range j.Finding.Trace {
			if f.Location.File != "" {
				fmt.Fprintf(w, "          called in %s at %s:%d\n", f.Function, f.Location.File, f.Location.Line)
			}
		}
		if s := j.Finding.Solution; s != "" && !advised[j.Finding.Rule+s] {
			advised[j.Finding.Rule+s] = true
			fmt.Fprintln(w, "          fix: "+strings.ReplaceAll(j.Finding.Solution, "\n", " "))
		}
	}
	first := stopping[0]
	fmt.Fprintf(w, "\n%s %s.\n", count(len(stopping), "finding"), map[bool]string{true: "stops this change", false: "stop this change"}[len(stopping) == 1])
	fmt.Fprintln(w, "How to fix:    change the code at the places above; the rule's page says how.")
	if first.Outcome == Expired {
		fmt.Fprintf(w, "How to accept: look at it again, and set a new date in %s.\n", first.Risk.Position)
	} else {
		fmt.Fprintf(w, "How to accept: add to %s, and have it reviewed:\n", a.Accepted)
		fmt.Fprintf(w, "  - rule: %s\n", first.Finding.Rule)
		if first.Finding.Location.File != "" {
			fmt.Fprintf(w, "    path: %s\n", scalar(first.Finding.Location.File))
		}
		fmt.Fprintf(w, "    owner: \"@owner\"\n    reason: why it is not exploitable here\n    expires: %s\n", a.Now.AddDate(0, 3, 0).Format(time.DateOnly))
	}
	fmt.Fprintf(w, "More:          %s\n", a.Page)
}

// plain matches what YAML reads as a string without quotes.
var plain = lazyregexp.New(`^[A-Za-z_.][A-Za-z0-9_./-]*$`)

// scalar writes a text so that YAML reads it back.
func scalar(text string) string {
	if plain().MatchString(text) {
		return text
	}
	return strconv.Quote(text)
}

// line returns a finding in one line.
func line(j Judgement) string {
	f := j.Finding
	place := f.Location.File
	if f.Location.Line > 0 {
		place = fmt.Sprintf("%s:%d", place, f.Location.Line)
	}
	if f.Commit != nil {
		place += " in " + f.Commit.SHA[:min(8, len(f.Commit.SHA))]
	}
	parts := []string{j.Tool.ID + " " + f.Rule}
	if place != "" {
		parts = append(parts, place)
	}
	if f.Dependency != nil {
		parts = append(parts, f.Dependency.Package+" "+f.Dependency.Version, f.Name)
	}
	if f.Message != f.Name || f.Dependency == nil {
		parts = append(parts, f.Message)
	}
	return strings.Join(parts, "  ")
}

// summary counts what does not stop the change.
func (v *Verdict) summary() string {
	parts := []string{count(len(v.Judgements), "finding")}
	for _, o := range []Outcome{Blocking, Expired, Accepted, Suppressed, Old, Minor} {
		if n := len(v.Of(o)); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	return strings.Join(parts, ", ")
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
