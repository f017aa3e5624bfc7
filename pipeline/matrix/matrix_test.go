package matrix_test

import (
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/matrix"
)

func TestParseReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := anyMatrix(t)
		for _, text := range []string{m.Text(), m.JSON()} {
			got, err := matrix.Parse([]byte(text))
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if diff := cmp.Diff(m, got); diff != "" {
				t.Fatalf("read back (-want +got):\n%s\n%s", diff, text)
			}
			if differences := matrix.Compare(m, got); len(differences) > 0 {
				t.Fatalf("equal matrices differ: %q", differences)
			}
		}
	})
}

func anyMatrix(t *rapid.T) *matrix.Matrix {
	name := rapid.StringMatching(`[a-z](([ :|\[\],-]|ä)?[a-z0-9]){0,8}`)
	m := &matrix.Matrix{}
	for _, event := range rapid.SliceOfNDistinct(name, 1, 5, rapid.ID).Draw(t, "events") {
		column := matrix.Column{Event: event}
		switch rapid.IntRange(0, 2).Draw(t, "outcome") {
		case 0:
			column.Created = true
		case 1:
			column.Reason = "workflow"
		default:
			column.Error = "jobs:a:needs"
		}
		m.Events = append(m.Events, column)
	}
	whens := []pipeline.When{
		"", pipeline.OnSuccess, pipeline.OnFailure, pipeline.Always, pipeline.Manual, pipeline.Delayed,
	}
	for _, job := range rapid.SliceOfNDistinct(name, 0, 6, rapid.ID).Draw(t, "jobs") {
		row := matrix.Row{Job: job, Stage: rapid.StringMatching(`[a-z.]{1,6}`).Draw(t, "stage")}
		for range m.Events {
			cell := matrix.Cell{When: rapid.SampledFrom(whens).Draw(t, "when")}
			cell.AllowFailure = cell.Present() && rapid.Bool().Draw(t, "allow failure")
			row.Cells = append(row.Cells, cell)
		}
		m.Jobs = append(m.Jobs, row)
	}
	return m
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing":         "",
		"a text":          "not a matrix\n",
		"no row":          "  push\n",
		"a short row":     "  push\n  |  tag\n(pipeline) | | x\n",
		"an unknown cell": "  push\n(pipeline) |  | x\na | test | y\n",
		"no columns":      "  push\n(pipeline)\n",
		"broken JSON":     "{",
		"JSON too short":  `{"events": [{"event": "push"}], "jobs": [{"job": "a", "stage": "b", "cells": []}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if m, err := matrix.Parse([]byte(text)); err == nil {
				t.Errorf("read as %+v", m)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("      push\n      |  tag\n(pipeline) |      | x  .\na          | test | x  M\n\nx runs\ntag: no pipeline, workflow\n")
	f.Add(`{"events": [], "jobs": []}`)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := matrix.Parse([]byte(text))
		if err != nil {
			return
		}
		matrix.Compare(m, m)
		_, _, _ = m.Text(), m.Markdown(), m.JSON()
	})
}

func TestBuildKeepsTheOrderOfJobs(t *testing.T) {
	t.Parallel()
	project := load(t, `
a: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}
b: {script: [x]}
c: {script: [x], rules: [{if: $CI_COMMIT_BRANCH}]}
d: {script: [x]}
`)
	m, err := matrix.Build(t.Context(), project, []pipeline.Event{
		{Name: "push", Source: pipeline.Push, Branch: "main"},
		{Name: "tag", Source: pipeline.Push, Tag: "v1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, row := range m.Jobs {
		names = append(names, row.Job)
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"a", "b", "c", "d"}, names); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	if m.Jobs[len(m.Jobs)-1].Job != "d" {
		t.Errorf("d is last on every event, but not here: %+v", m.Jobs)
	}
}

func TestCompareSaysWhatChanged(t *testing.T) {
	t.Parallel()
	events := []pipeline.Event{
		{Name: "push", Source: pipeline.Push, Branch: "main"},
		{Name: "tag", Source: pipeline.Push, Tag: "v1"},
	}
	tests := []struct {
		name, before, after string
		want                []string
	}{
		{"nothing", "a: {script: [x]}", "a: {script: [y]}", nil},
		{"a job comes and one goes", "a: {script: [x]}", "b: {script: [x]}", []string{
			"- a: removed, was on_success on every event", "+ b: new, on_success on every event",
		}},
		{
			"a job becomes manual",
			"a: {script: [x]}",
			"a: {script: [x], when: manual}",
			[]string{"~ a: on_success -> manual on push; tag"},
		},
		{
			"a job leaves an event",
			"a: {script: [x]}\nb: {script: [x]}",
			"a: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}\nb: {script: [x]}",
			[]string{"~ a: on_success -> absent on push"},
		},
		{
			"another stage",
			"a: {script: [x], stage: build}",
			"a: {script: [x], stage: test}",
			[]string{"~ a: stage build -> test"},
		},
		{
			"an event loses its pipeline",
			"a: {script: [x]}",
			"workflow: {rules: [{if: $CI_COMMIT_TAG}]}\na: {script: [x]}",
			[]string{
				"~ pipeline: a pipeline -> no pipeline (workflow) on push",
				"~ a: on_success -> absent on push",
			},
		},
		{
			"an event is refused",
			"a: {script: [x], needs: [b]}\nb: {script: [x]}",
			"a: {script: [x], needs: [b]}\nb: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}",
			[]string{
				"~ pipeline: a pipeline -> refused (jobs:a:needs) on push",
				"~ a: on_success -> absent on push",
				"~ b: on_success -> absent on push",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			before, err := matrix.Build(t.Context(), load(t, tt.before), events)
			if err != nil {
				t.Fatal(err)
			}
			after, err := matrix.Build(t.Context(), load(t, tt.after), events)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, matrix.Compare(before, after)); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
		})
	}
}

func load(t *testing.T, text string) *pipeline.Project {
	t.Helper()
	project, err := pipeline.Load(fstest.MapFS{".gitlab-ci.yml": {Data: []byte(text)}}, pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return project
}
