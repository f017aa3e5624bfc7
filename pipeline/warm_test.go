package pipeline

import (
	"context"
	"io/fs"
	"sync"
	"testing"
	"testing/fstest"
)

// countingFS counts how often each file is opened.
type countingFS struct {
	fs.FS
	mu     sync.Mutex
	opened map[string]int
}

func (c *countingFS) Open(name string) (fs.File, error) {
	c.mu.Lock()
	c.opened[name]++
	c.mu.Unlock()
	return c.FS.Open(name)
}

func (c *countingFS) count(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.opened[name]
}

// TestReadAhead reads what a configuration names, in a cycle, too, and leaves nothing to read for the plan.
func TestReadAhead(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	files := &countingFS{opened: map[string]int{}, FS: fstest.MapFS{
		".gitlab-ci.yml":   file("include: [{local: /ci/a.yml}, ci/b.yml, ci/missing.yml, {local: ci/$CI_COMMIT_BRANCH.yml}]\n"),
		"ci/a.yml":         file("include: {local: ci/c.yml, inputs: {x: y}}\na: {script: x}\n"),
		"ci/b.yml":         file("include: [ci/b.yml, ci/a.yml, https://example.com/x.yml, {project: a/b, file: ci/d.yml}]\nb: {script: x}\n"),
		"ci/c.yml":         file("spec: {inputs: {x: {}}}\n---\nc: {script: x}\n"),
		"ci/d.yml":         file("d: [\n"),
		"ci/unrelated.yml": file("e: {script: x}\n"),
	}}
	project, err := Load(files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	project.ReadAhead()
	for name, want := range map[string]bool{
		"ci/a.yml": true, "ci/b.yml": true, "ci/c.yml": true, "ci/missing.yml": true, "ci/d.yml": false, "ci/unrelated.yml": false,
	} {
		t.Run(name, func(t *testing.T) {
			if read := files.count(name) > 0; read != want {
				t.Errorf("%s was read: %t, want %t", name, read, want)
			}
		})
	}
	before := files.count("ci/c.yml")
	if _, err := project.Plan(context.Background(), Event{Source: Push, Branch: "main"}); err == nil {
		t.Error("the plan lacks the error of the missing file")
	}
	if after := files.count("ci/c.yml"); after != before {
		t.Errorf("the plan read ci/c.yml again: %d, then %d", before, after)
	}
}

func TestReadAheadBesideAPlan(t *testing.T) {
	project, err := Load(fstest.MapFS{
		".gitlab-ci.yml": {Data: []byte("include: [a.yml, b.yml]\n")},
		"a.yml":          {Data: []byte("include: [b.yml]\na: {script: x}\n")},
		"b.yml":          {Data: []byte("b: {script: x}\n")},
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(project.ReadAhead)
	plan, err := project.Plan(t.Context(), Event{Source: Push, Branch: "main"})
	reading.Wait()
	if err != nil || len(plan.Jobs) != 2 {
		t.Errorf("%v, %v", plan, err)
	}
}
