package plandiff_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/plandiff"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

var events = []pipeline.Event{
	{Name: "push", Source: pipeline.Push, Branch: "main"},
	{Name: "tag", Source: pipeline.Push, Tag: "v1"},
}

func TestText(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, before, after, want string }{
		{
			name:   "no difference",
			before: "a: {script: [x]}",
			after:  "# a comment\na:\n  script:\n    - x\n",
			want:   "no difference on 2 events\n",
		},
		{
			name:   "jobs come and go",
			before: "a: {script: [x]}\nb: {script: [x]}",
			after:  "a: {script: [x]}\nc: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}",
			want: `- b
    on every event
+ c
    on tag
`,
		},
		{
			name:   "a short value",
			before: "a: {script: [x], tags: [small]}",
			after:  "a: {script: [x], tags: [large]}",
			want: `~ a: tags: ["small"] -> ["large"]
    on every event
`,
		},
		{
			name:   "a long value",
			before: "a: {script: [make prepare, make something that takes a while, make it so], image: golang:1}",
			after:  "a: {script: [make prepare, make something else, make it so]}",
			want: `~ a: image: "golang:1" -> (none)
    on every event
~ a: script
    - make something that takes a while
    + make something else
    on every event
`,
		},
		{
			name:   "only the order",
			before: "a: {script: [make the first of all those things, make the second of all those things]}",
			after:  "a: {script: [make the second of all those things, make the first of all those things]}",
			want: `~ a: script: the same items in a different order
    on every event
`,
		},
		{
			name:   "a mapping",
			before: "a: {script: [x], variables: {FIRST: aaaaaaaaaaaaaaaaaaaa, SECOND: bbbbbbbbbbbbbbbb}}",
			after:  "a: {script: [x], variables: {FIRST: aaaaaaaaaaaaaaaaaaaa, SECOND: cccccccccccccccc}}",
			want: `~ a: variables
    - SECOND: "bbbbbbbbbbbbbbbb"
    + SECOND: "cccccccccccccccc"
    on every event
`,
		},
		{
			name:   "a pipeline goes",
			before: "a: {script: [x]}",
			after:  "workflow: {rules: [{if: $CI_COMMIT_TAG}]}\na: {script: [x]}",
			want: `~ pipeline: created -> no pipeline: workflow:rules exclude it
    on push
`,
		},
		{
			name:   "the pipeline itself",
			before: "a: {script: [x], stage: build}\nb: {script: [x]}",
			after:  "workflow: {name: Ours}\na: {script: [x]}\nb: {script: [x]}",
			want: `~ pipeline: name: "" -> "Ours"
    on every event
~ pipeline: stages: ["build","test"] -> ["test"]
    on every event
~ a: stage: "build" -> "test"
    on every event
`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			if err := plandiff.Text(&out, compare(t, tt.before, tt.after), render.Palette{}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("text (-want +got):\n%s", diff)
			}
		})
	}
}

func TestARefusedConfigurationIsAnOutcome(t *testing.T) {
	t.Parallel()
	diffs := compare(t, "a: {script: [x]}", "a: {script: [x], stage: nowhere}")
	for _, d := range diffs {
		if d.Before != "created" || !strings.HasPrefix(d.After, "refused: ") || d.Empty() {
			t.Errorf("%s: %q -> %q", d.Event, d.Before, d.After)
		}
	}
}

func TestBothRefusedAlikeIsNoDifference(t *testing.T) {
	t.Parallel()
	broken := "a: {script: [x], stage: nowhere}"
	for _, d := range compare(t, broken, broken) {
		if !d.Empty() {
			t.Errorf("%s: %+v", d.Event, d)
		}
	}
}

func compare(t *testing.T, before, after string) []plandiff.Diff {
	t.Helper()
	diffs, err := plandiff.Compare(t.Context(), load(t, before), load(t, after), events)
	if err != nil {
		t.Fatal(err)
	}
	return diffs
}

func load(t *testing.T, text string) *pipeline.Project {
	t.Helper()
	project, err := pipeline.Load(fstest.MapFS{".gitlab-ci.yml": {Data: []byte(text)}}, pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return project
}
