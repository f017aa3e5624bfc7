package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestUpToDate fails if somebody changed a stage and not what follows from it.
func TestUpToDate(t *testing.T) {
	stale, err := generate("../../..", false)
	if err != nil {
		t.Fatal(err)
	}
	if len(stale) > 0 {
		t.Errorf("not up to date: %s\nrun: go run ./ci/internal/templates", strings.Join(stale, ", "))
	}
}

func TestReadStageRefuses(t *testing.T) {
	t.Parallel()
	const needs = "# Runner: docker\n# GitLab: 17.0, Free\n# Reaches: nothing\n"
	for _, c := range []struct{ name, file, want string }{
		{"no requirements", "# What it is.\n# Runner: docker\nspec:\n  inputs:\n    a: {description: x, default: y}\n---\n# Promises: x. Red: y.\njob: {script: [x]}\n", "what the jobs need"},
		{"no header", "job: {script: [x]}\n", "no header"},
		{"no description", needs + "spec:\n  inputs:\n    a: {default: x}\n---\n# Promises: x. Red: y.\njob: {script: [x]}\n", ":6: the input a has no description"},
		{"no default", needs + "spec:\n  inputs:\n    a: {description: x}\n---\n# Promises: x. Red: y.\njob: {script: [x]}\n", ":6: the input a has no default"},
		{"no promise", needs + "spec:\n  inputs:\n    a: {description: x, default: y}\n---\njob: {script: [x]}\n", "job has no comment"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.yml")
			if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := readStage(path); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
