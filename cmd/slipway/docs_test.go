package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

// The page shows what the commands really print: each block "```console" begins with the command.
func TestDocsShowRealOutput(t *testing.T) {
	t.Parallel()
	const page = "../../docs/slipway.md"
	dir := exampleProject(t)
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	const fence = "```console\n$ slipway "
	parts := strings.Split(string(text), fence)
	if len(parts) < 8 {
		t.Errorf("%d commands on the page", len(parts)-1)
	}
	for i := 1; i < len(parts); i++ {
		line, rest, _ := strings.Cut(parts[i], "\n")
		want, after, ok := strings.Cut(rest, "```")
		if !ok {
			t.Fatalf("the block of %q has no end", line)
		}
		got := transcribe(t, dir, line)
		if diff := cmp.Diff(want, got); diff != "" && !*update {
			t.Errorf("slipway %s (-page +real):\n%s", line, diff)
		}
		parts[i] = line + "\n" + got + "```" + after
	}
	if *update {
		fill(t, page, []byte(strings.Join(parts, fence)))
	}
}

// exampleProject is a repository with one commit and changes that are not committed.
func exampleProject(t *testing.T) string {
	t.Helper()
	archive, err := txtar.ParseFile("testdata/example.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, file := range archive.Files {
		if name, ok := strings.CutPrefix(file.Name, "committed/"); ok {
			fill(t, filepath.Join(dir, name), file.Data)
		}
	}
	initRepository(t, dir)
	for _, file := range archive.Files {
		if !strings.HasPrefix(file.Name, "committed/") {
			fill(t, filepath.Join(dir, file.Name), file.Data)
		}
	}
	return dir
}
