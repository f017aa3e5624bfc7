package pipeline_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func TestInputs(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": `
spec:
  include: [{local: inputs/$CI_COMMIT_BRANCH.yml}]
  inputs:
    name: {description: who}
    count: {type: number, default: 1, options: [1, 2]}
    rules: {rules: [{if: '$[[ inputs.name ]] == "a"', default: b}]}
---
a: {script: [x]}
`, "inputs/main.yml": "inputs:\n  list: {type: array, default: [a]}\n"})
	got, err := project.Inputs(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if err != nil {
		t.Fatal(err)
	}
	at := func(file string, line, column int) pipeline.Position {
		return pipeline.Position{File: file, Line: line, Column: column}
	}
	want := []pipeline.Input{
		{Name: "list", Type: "array", Default: []any{"a"}, Position: at("inputs/main.yml", 2, 3)},
		{Name: "name", Type: "string", Description: "who", Required: true, Position: at(".gitlab-ci.yml", 5, 5)},
		{Name: "count", Type: "number", Default: 1, Options: []any{1, 2}, Position: at(".gitlab-ci.yml", 6, 5)},
		{Name: "rules", Type: "string", Position: at(".gitlab-ci.yml", 7, 5)},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
	if _, err := project.Inputs(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "other"}); err == nil {
		t.Error("the file of a branch that has none was found")
	}
}

func TestInputParse(t *testing.T) {
	t.Parallel()
	mode := pipeline.Input{Name: "mode", Type: "string", Options: []any{"fast", "slow"}}
	count := pipeline.Input{Name: "count", Type: "number", Options: []any{1, 2.5}}
	digest := pipeline.Input{Name: "digest", Type: "string", Regex: "^(sha256:[0-9a-f]+)?$"}
	for name, test := range map[string]struct {
		input pipeline.Input
		text  string
		want  any
		says  string // the error
	}{
		"a string":             {pipeline.Input{Name: "a", Type: "string"}, "1", "1", ""},
		"an empty string":      {pipeline.Input{Name: "a", Type: "string"}, "", "", ""},
		"a number":             {pipeline.Input{Name: "a", Type: "number"}, "1", 1, ""},
		"a text as a number":   {pipeline.Input{Name: "a", Type: "number"}, "one", nil, "the input a should be a number"},
		"two numbers":          {pipeline.Input{Name: "a", Type: "number"}, "1 2", nil, "the input a should be a number"},
		"a boolean":            {pipeline.Input{Name: "a", Type: "boolean"}, "true", true, ""},
		"a number as a switch": {pipeline.Input{Name: "a", Type: "boolean"}, "1", nil, "the input a should be a boolean"},
		"an array":             {pipeline.Input{Name: "a", Type: "array"}, `["x", 1]`, []any{"x", 1}, ""},
		"an option":            {mode, "slow", "slow", ""},
		"no option":            {mode, "medium", nil, "the input mode cannot be the string \"medium\" (one of fast, slow)"},
		"a number that is one": {count, "2.5", 2.5, ""},
		"a number that is not": {count, "2", nil, "the input count cannot be the integer 2 (one of 1, 2.5)"},
		"a match":              {digest, "sha256:1f", "sha256:1f", ""},
		"no match":             {digest, "latest", nil, `the input digest is "latest", which does not match ^(sha256:[0-9a-f]+)?$`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := test.input.Parse(test.text)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
			if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want %q", err, test.says)
			}
		})
	}
}
