package pipeline_test

import (
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
