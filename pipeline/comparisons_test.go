package pipeline_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// TestComparisons: GitLab takes `changes` and `exists` for true when globs times paths are more than 50,000. It counts equal globs of
// `changes` once, for `exists` only paths at the root if no glob enters folders, and no globs that are the end of a path.
func TestComparisons(t *testing.T) {
	t.Parallel()
	const half = 25_001
	files := fstest.MapFS{".gitlab-ci.yml": {Data: []byte(`
changes-once: {script: [x], rules: [{changes: ["*.none"]}]}
changes-equal: {script: [x], rules: [{changes: ["*.none", "*.none"]}]}
changes-too-many: {script: [x], rules: [{changes: ["*.none", "*.nix"]}]}
exists-at-root: {script: [x], rules: [{exists: ["*.none", "*.nix"]}]}
exists-end: {script: [x], rules: [{exists: ["**/*.none", "**/*.nix"]}]}
exists-too-many: {script: [x], rules: [{exists: ["**/none.*", "**/nix.*"]}]}
always: {script: [x]}
`)}}
	paths := make([]string, half)
	for i := range paths {
		paths[i] = fmt.Sprintf("sub/%d.go", i)
		files[paths[i]] = &fstest.MapFile{}
	}
	project, err := pipeline.Load(files, pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "x", Changed: paths})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, job := range plan.Jobs {
		got = append(got, job.Name)
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"always", "changes-too-many", "exists-too-many"}, got); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
}
