package pipeline_test

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func TestPositionsOfKeywords(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		".gitlab-ci.yml": {Data: []byte(`include: base.yml
default:
  image: alpine:3
services: [redis:7]
job:
  extends: .base
  script: [make]
  artifacts:
    when: always
`)},
		"base.yml": {Data: []byte(`.base:
  tags: [x]
  artifacts:
    paths: [out]
`)},
	}
	project, err := pipeline.Load(files, pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if err != nil {
		t.Fatal(err)
	}
	job := plan.Job("job")
	for _, tt := range []struct {
		name string
		keys []string
		want pipeline.Position
	}{
		{"own", []string{"script"}, pipeline.Position{File: ".gitlab-ci.yml", Line: 7, Column: 3}},
		{"extended", []string{"tags"}, pipeline.Position{File: "base.yml", Line: 2, Column: 3}},
		{"own part of a merged mapping", []string{"artifacts", "when"}, pipeline.Position{File: ".gitlab-ci.yml", Line: 9, Column: 5}},
		{"extended part of a merged mapping", []string{"artifacts", "paths"}, pipeline.Position{File: "base.yml", Line: 4, Column: 5}},
		{"default", []string{"image"}, pipeline.Position{File: ".gitlab-ci.yml", Line: 3, Column: 3}},
		{"global", []string{"services"}, pipeline.Position{File: ".gitlab-ci.yml", Line: 4, Column: 1}},
		{"beginning", []string{"image", "entrypoint"}, pipeline.Position{File: ".gitlab-ci.yml", Line: 3, Column: 3}},
		{"nothing", []string{"cache"}, pipeline.Position{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, job.Position(tt.keys...)); diff != "" {
				t.Errorf("position (-want +got):\n%s", diff)
			}
		})
	}
}

// Which rule a job has for an event is recorded together with whether its changes were compared at all.
func TestChangesThatAreAssumed(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{".gitlab-ci.yml": {Data: []byte(`
assumed: {script: [x], rules: [{changes: [a]}]}
compared: {script: [x], rules: [{changes: {paths: [a], compare_to: main}}]}
other: {script: [x], rules: [{if: $CI_COMMIT_TAG}, {changes: [a]}]}
`)}}
	project, err := pipeline.Load(files, pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		event pipeline.Event
		want  map[string]bool
	}{
		{"tag", pipeline.Event{Source: pipeline.Push, Tag: "v1", Changed: []string{"a"}, AnyRef: true}, map[string]bool{"assumed": true, "compared": false, "other": false}},
		{"branch", pipeline.Event{Source: pipeline.Push, Branch: "x", Changed: []string{"a"}, AnyRef: true}, map[string]bool{"assumed": false, "compared": false, "other": false}},
		{"new branch", pipeline.Event{Source: pipeline.Push, Branch: "x", NewBranch: true, Changed: []string{"a"}, AnyRef: true}, map[string]bool{"assumed": true, "compared": false, "other": true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan, err := project.Plan(t.Context(), tt.event)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]bool{}
			for _, job := range plan.Jobs {
				got[job.Name] = job.Decision.AssumedChanges
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("assumed changes (-want +got):\n%s", diff)
			}
		})
	}
}
