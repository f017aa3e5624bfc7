package pipeline_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func TestPlanAllKeepsTheOrderOfEvents(t *testing.T) {
	t.Parallel()
	project := loadText(t, "a: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}\nb: {script: [x], needs: [{job: a, optional: true}]}\n")
	events := pipeline.StandardEvents()
	for i, outcome := range project.PlanAll(t.Context(), events) {
		if outcome.Err != nil {
			t.Fatalf("%s: %v", events[i].Name, outcome.Err)
		}
		if outcome.Event.Name != events[i].Name || outcome.Plan.Event.Name != events[i].Name {
			t.Errorf("outcome %d is of %q and %q, want %q", i, outcome.Event.Name, outcome.Plan.Event.Name, events[i].Name)
		}
		if got, want := outcome.Plan.Job("a") != nil, events[i].Tag != ""; got != want {
			t.Errorf("%s: job a is there: %v, want %v", events[i].Name, got, want)
		}
	}
}

// What is kept between events must not show: each plan is that of a project which has compiled nothing before.
func TestPlanAllGivesTheSameAsFreshProjects(t *testing.T) {
	t.Parallel()
	sources := map[string]fs.FS{
		"this repository": os.DirFS(".."),
		"includes that depend on the event": fstest.MapFS{
			".gitlab-ci.yml": {Data: []byte("include:\n  - local: ci/tag.yml\n    rules: [{if: $CI_COMMIT_TAG}]\n  - local: ci/$CI_PIPELINE_SOURCE.yml\na: {script: [x], parallel: {matrix: [{V: [1, 2]}]}}\n")},
			"ci/tag.yml":     {Data: []byte("b: {script: [x], needs: [a]}\n")},
			"ci/push.yml":    {Data: []byte("c: {script: [x]}\n")},
		},
		"includes whose rules look at changes": fstest.MapFS{
			".gitlab-ci.yml": {Data: []byte("include:\n  - local: ci/docs.yml\n    rules: [{changes: [docs/**]}]\na: {script: [x]}\n")},
			"ci/docs.yml":    {Data: []byte("docs: {script: [x]}\n")},
		},
		"inputs that expand variables": fstest.MapFS{
			".gitlab-ci.yml": {Data: []byte("include:\n  - local: ci/job.yml\n    inputs: {job: $CI_PIPELINE_SOURCE}\n")},
			"ci/job.yml":     {Data: []byte("spec: {inputs: {job: {}}}\n---\n\"job $[[ inputs.job | expand_vars ]]\": {script: [x], rules: [{when: always}]}\n")},
		},
	}
	for name, files := range sources {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			used, err := pipeline.Load(files, pipeline.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				for _, outcome := range used.PlanAll(t.Context(), pipeline.StandardEvents()) {
					fresh, err := pipeline.Load(files, pipeline.Options{})
					if err != nil {
						t.Fatal(err)
					}
					plan, err := fresh.Plan(t.Context(), outcome.Event)
					if got, want := verdict(t, outcome.Plan, outcome.Err), verdict(t, plan, err); got != want {
						t.Errorf("%s (-fresh +kept):\n%s", outcome.Event.Name, cmp.Diff(want, got))
					}
				}
			}
		})
	}
}

func verdict(t *testing.T, plan *pipeline.Plan, err error) string {
	t.Helper()
	if err != nil {
		return err.Error()
	}
	text, err := json.MarshalIndent(plan, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPlanAllEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, outcome := range loadText(t, "a: {script: [x]}\n").PlanAll(ctx, pipeline.StandardEvents()) {
		if !errors.Is(outcome.Err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", outcome.Event.Name, outcome.Err)
		}
	}
}

func TestStandardEventsHaveNamesOfTheirOwn(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, event := range pipeline.StandardEvents() {
		if event.Name == "" || seen[event.Name] {
			t.Errorf("name %q is empty or taken", event.Name)
		}
		seen[event.Name] = true
	}
	if len(seen) < 15 {
		t.Errorf("%d events, want at least 15", len(seen))
	}
}

func loadText(t *testing.T, text string) *pipeline.Project {
	t.Helper()
	project, err := pipeline.Load(fstest.MapFS{".gitlab-ci.yml": {Data: []byte(text)}}, pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return project
}
