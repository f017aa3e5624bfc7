package gitevent_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/gitevent"
)

// history makes main with two commits, a branch with one more, and a tag on main.
func history(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a",
			"GIT_COMMITTER_EMAIL=a@example.com", "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	commit := func(path, message string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, path), []byte(message), 0o600); err != nil {
			t.Fatal(err)
		}
		run("add", ".")
		run("commit", "--quiet", "--message", message)
	}
	run("init", "--quiet", "--initial-branch=main", ".")
	commit("a.go", "first")
	commit("b c.go", "second\n\nwith a body")
	run("tag", "v1.0.0")
	run("switch", "--quiet", "--create", "feature/x")
	commit("ü.md", "third")
	return dir
}

func TestEvents(t *testing.T) {
	t.Parallel()
	dir := history(t)
	ctx := context.Background()
	tests := map[string]struct {
		make func() (pipeline.Event, error)
		want pipeline.Event
	}{
		"the branch": {
			func() (pipeline.Event, error) { return gitevent.Push(ctx, dir, gitevent.Options{}) },
			pipeline.Event{Source: pipeline.Push, Branch: "feature/x", Changed: []string{"ü.md"}, CommitMessage: "third"},
		},
		"another branch": {
			func() (pipeline.Event, error) { return gitevent.Push(ctx, dir, gitevent.Options{Ref: "main"}) },
			pipeline.Event{Source: pipeline.Push, Branch: "main", Changed: []string{"b c.go"}, CommitMessage: "second\n\nwith a body"},
		},
		"a tag": {
			func() (pipeline.Event, error) { return gitevent.Push(ctx, dir, gitevent.Options{Ref: "v1.0.0"}) },
			pipeline.Event{Source: pipeline.Push, Tag: "v1.0.0", Changed: []string{"b c.go"}, CommitMessage: "second\n\nwith a body"},
		},
		"a first commit": {
			func() (pipeline.Event, error) { return gitevent.Push(ctx, dir, gitevent.Options{Ref: "main~1"}) },
			pipeline.Event{Source: pipeline.Push, NewBranch: true, CommitMessage: "first"},
		},
		"two commits": {
			func() (pipeline.Event, error) {
				return gitevent.Push(ctx, dir, gitevent.Options{Before: "main~1", Compare: []string{"main", "gone"}})
			},
			pipeline.Event{Source: pipeline.Push, Branch: "feature/x", Changed: []string{"b c.go", "ü.md"}, CommitMessage: "third",
				CompareTo: map[string][]string{"main": {"ü.md"}}},
		},
		"a merge request": {
			func() (pipeline.Event, error) { return gitevent.MergeRequest(ctx, dir, "main", gitevent.Options{}) },
			pipeline.Event{Source: pipeline.MergeRequest, Branch: "feature/x", Changed: []string{"ü.md"}, CommitMessage: "third",
				MergeRequestInfo: &pipeline.MergeRequestInfo{IID: 1, SourceBranch: "feature/x", TargetBranch: "main", Title: "third"}},
		},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := c.make()
			if err != nil {
				t.Fatal(err)
			}
			if len(got.SHA) != 40 {
				t.Errorf("SHA %q", got.SHA)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(pipeline.Event{}, "SHA"), cmpopts.IgnoreUnexported(pipeline.Event{})); diff != "" {
				t.Error(diff)
			}
		})
	}
	if _, err := gitevent.Push(ctx, dir, gitevent.Options{Ref: "gone"}); err == nil {
		t.Error("a ref that is not there has an event")
	}
}
