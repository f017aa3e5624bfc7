package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func TestAddGitFacts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	commit := func(name string) string {
		t.Helper()
		fill(t, filepath.Join(dir, name), []byte(name))
		return commitAll(t, dir)
	}
	runGit(t, dir, "init", "--quiet", "--initial-branch=main")
	first := commit("first.txt")
	event := pipeline.Event{Source: pipeline.Push, Branch: "main"}
	addGitFacts(context.Background(), dir, &event, "main", false)
	if !event.NewBranch || event.Changed != nil {
		t.Errorf("the first commit: %+v", event)
	}
	runGit(t, dir, "checkout", "--quiet", "-b", "feature")
	second := commit("second.txt")
	commit("third.txt")
	if err := os.WriteFile(filepath.Join(dir, "untracked.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}

	for _, tt := range []struct {
		name    string
		event   pipeline.Event
		given   bool
		changed []string
		key     string
		before  string
	}{
		{"push", pipeline.Event{Source: pipeline.Push, Branch: "feature"}, false, []string{"third.txt", "untracked.txt"}, "CI_COMMIT_BEFORE_SHA", second},
		{"merge request", pipeline.Event{Source: pipeline.MergeRequest, MergeRequestInfo: &pipeline.MergeRequestInfo{}}, false,
			[]string{"second.txt", "third.txt", "untracked.txt"}, "CI_MERGE_REQUEST_DIFF_BASE_SHA", first},
		{"changes are given", pipeline.Event{Source: pipeline.Push, Changed: []string{"x"}}, true, []string{"x"}, "CI_COMMIT_BEFORE_SHA", second},
		{"schedule", pipeline.Event{Source: pipeline.Schedule}, false, nil, "CI_COMMIT_BEFORE_SHA", ""},
		{"what is given stays", pipeline.Event{Source: pipeline.Push, Predefined: map[string]string{"CI_COMMIT_BEFORE_SHA": "given"}}, true, nil, "CI_COMMIT_BEFORE_SHA", "given"},
	} {
		addGitFacts(context.Background(), dir, &tt.event, "main", tt.given)
		slices.Sort(tt.event.Changed)
		if diff := cmp.Diff(tt.changed, tt.event.Changed); diff != "" {
			t.Errorf("%s: changed (-want +got):\n%s", tt.name, diff)
		}
		if got := tt.event.Predefined[tt.key]; got != tt.before {
			t.Errorf("%s: %s is %q, want %q", tt.name, tt.key, got, tt.before)
		}
		if got := tt.event.Predefined["CI_COMMIT_AUTHOR"]; got != "Ada <ada@example.com>" {
			t.Errorf("%s: author %q", tt.name, got)
		}
	}
}
