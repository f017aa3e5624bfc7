package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"

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
