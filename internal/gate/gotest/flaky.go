package gotest

import (
	"fmt"
	"html"
	"io"
	"sort"
	"strings"
)

// A Flaky test failed and then passed, with the same code.
type Flaky struct {
	Package, Test string
	// Failures and Runs count its attempts.
	Failures, Runs int
	// Output is that of its first failure.
	Output string
}

// FindFlaky finds the flaky tests in the events of a run that repeats failed tests, as gotestsum --rerun-fails does,
// sorted by package and name. Of a test and its subtests only the innermost are listed.
func FindFlaky(r io.Reader) ([]Flaky, error) {
	type key struct{ pkg, test string }
	type record struct {
		Flaky
		passed  bool
		current strings.Builder
	}
	records := map[key]*record{}
	err := readEvents(r, func(e event) {
		if e.Test == "" {
			return
		}
		k := key{e.Package, e.Test}
		if records[k] == nil {
			records[k] = &record{Flaky: Flaky{Package: e.Package, Test: e.Test}}
		}
		t := records[k]
		switch e.Action {
		case "run":
			t.current.Reset()
		case "output":
			t.current.WriteString(e.Output)
		case "pass":
			t.Runs++
			t.passed = true
		case "fail":
			t.Runs++
			t.Failures++
			t.passed = false
			if t.Output == "" {
				t.Output = t.current.String()
			}
		}
	})
	if err != nil {
		return nil, err
	}
	var list []Flaky
	for _, t := range records {
		if t.passed && t.Failures > 0 {
			list = append(list, t.Flaky)
		}
	}
	sort.Slice(list, func(i, j int) bool {
		return list[i].Package < list[j].Package || list[i].Package == list[j].Package && list[i].Test < list[j].Test
	})
	return innermost(list), nil
}

// innermost leaves out tests that failed because a subtest did.
func innermost(list []Flaky) []Flaky {
	var kept []Flaky
	for i, f := range list {
		parent := false
		for _, g := range list[i+1:] {
			if g.Package == f.Package && strings.HasPrefix(g.Test, f.Test+"/") {
				parent = true
				break
			}
		}
		if !parent {
			kept = append(kept, f)
		}
	}
	return kept
}

// WriteFlaky writes a list of flaky tests as Markdown, for a note or a job's summary.
func WriteFlaky(w io.Writer, list []Flaky) {
	if len(list) == 0 {
		fmt.Fprintln(w, "No test was flaky.")
		return
	}
	fmt.Fprintf(w, "| flaky test | package | failed |\n|---|---|---|\n")
	for _, f := range list {
		fmt.Fprintf(w, "| `%s` | `%s` | %d of %d |\n", cell(f.Test), cell(f.Package), f.Failures, f.Runs)
	}
	for _, f := range list {
		fmt.Fprintf(w, "\n<details><summary><code>%s</code></summary>\n\n```text\n%s\n```\n\n</details>\n", html.EscapeString(f.Test), strings.TrimSpace(fence(f.Output)))
	}
}

// cell keeps the name of a test, which can have any characters, inside of its cell and of its code.
func cell(name string) string { return strings.NewReplacer("`", "'", "|", `\|`).Replace(name) }

// fence keeps a test's output inside of its block.
func fence(text string) string { return strings.ReplaceAll(text, "```", "'''") }
