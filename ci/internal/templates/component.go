package main

import (
	"bytes"
	"fmt"
	"strings"
)

// component returns the stage as a component of the Catalog: its own header, and an include that passes every input on.
func (s *stage) component() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Code generated from ci/%s.yml by ci/internal/templates. DO NOT EDIT.\n%s---\n", s.name, s.spec)
	fmt.Fprintf(&b, "include:\n  - local: /ci/%s.yml\n    inputs:\n", s.name)
	for _, in := range s.inputs {
		fmt.Fprintf(&b, "      %s: $[[ inputs.%s ]]\n", in.name, in.name)
	}
	return b.Bytes()
}

// jobList returns the promises of the stage's jobs.
func (s *stage) jobList() string {
	if len(s.jobs) == 0 {
		return s.intro + "\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", s.intro)
	for _, j := range s.jobs {
		fmt.Fprintf(&b, "- **`%s`** promises: %s\n", j.name, j.promise)
	}
	fmt.Fprintf(&b, "\nRunner: %s. GitLab: %s. Reaches: %s.\n", s.runner, s.gitlab, s.reaches)
	return b.String()
}

// requirementsTable returns what the jobs of each stage need.
func requirementsTable(stages []*stage) string {
	var b strings.Builder
	b.WriteString("| stage | runner: executor and privileges | GitLab: version and tier | reaches |\n|---|---|---|---|\n")
	for _, s := range stages {
		fmt.Fprintf(&b, "| [%s](%s.md) | %s | %s | %s |\n", s.name, s.name, s.runner, s.gitlab, s.reaches)
	}
	return b.String()
}

// inputTable returns the reference of the inputs.
func inputTable(inputs []input) string {
	var b strings.Builder
	b.WriteString("| input | type | default | what it is |\n|---|---|---|---|\n")
	for _, in := range inputs {
		text := strings.ReplaceAll(in.description, "|", `\|`)
		if in.limits != "" {
			text += " (" + in.limits + ")"
		}
		standard := "`" + strings.ReplaceAll(in.standard, "|", `\|`) + "`"
		if in.standard == `""` {
			standard = ""
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", in.name, in.kind, standard, text)
	}
	return b.String()
}

// list returns a table of all stages, each with the first sentence about it.
func list(stages []*stage) string {
	var b strings.Builder
	b.WriteString("| stage | what it does |\n|---|---|\n")
	for _, s := range stages {
		first, _, _ := strings.Cut(s.intro, ". ")
		fmt.Fprintf(&b, "| [%s](%s.md) | %s |\n", s.name, s.name, strings.TrimSuffix(first, ".")+".")
	}
	return b.String()
}

// fill replaces what is between the marks of a part of a page.
func fill(page []byte, part, text string) ([]byte, error) {
	begin, end := "<!-- generated: "+part+" -->\n", "<!-- end of "+part+" -->\n"
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return nil, fmt.Errorf("the marks %q and %q are missing", strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	return []byte(before + begin + text + end + after), nil
}
