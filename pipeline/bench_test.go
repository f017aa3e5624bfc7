package pipeline_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// synthetic makes a configuration of files that are included, with jobs spread over them.
func synthetic(includes, jobs int) fstest.MapFS {
	files := fstest.MapFS{}
	var root strings.Builder
	root.WriteString("stages: [build, test, deploy]\nvariables: {LEVEL: \"1\", TARGET: \"$LEVEL-x\"}\ninclude:\n")
	for i := range includes {
		fmt.Fprintf(&root, "  - {local: ci/%d.yml, inputs: {name: n%d}}\n", i, i)
		var b strings.Builder
		fmt.Fprintf(&b, "spec: {inputs: {name: {}, stage: {default: test}}}\n---\n.base-%d: {image: \"golang:1.27\", before_script: [go version], variables: {A: \"1\"}}\n", i)
		for j := i; j < jobs; j += includes {
			fmt.Fprintf(&b, `"job-%d-$[[ inputs.name ]]":
  extends: .base-%d
  stage: $[[ inputs.stage ]]
  variables: {JOB: "%d", PATH_OF: "$TARGET/$JOB"}
  cache: {key: "go-$CI_COMMIT_REF_SLUG", paths: [.cache]}
  script:
    - go build ./...
    - go test ./...
  rules:
    - if: $CI_PIPELINE_SOURCE == "merge_request_event"
    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH
      variables: {WHERE: main}
    - changes: ["**/*.go", go.mod]
`, j, i, j)
			if j >= includes {
				fmt.Fprintf(&b, "  needs: [\"job-%d-$[[ inputs.name ]]\"]\n", j-includes)
			}
		}
		files[fmt.Sprintf("ci/%d.yml", i)] = &fstest.MapFile{Data: []byte(b.String())}
	}
	files[".gitlab-ci.yml"] = &fstest.MapFile{Data: []byte(root.String())}
	return files
}

func plan(b testing.TB, files fstest.MapFS, jobs int) {
	b.Helper()
	project, err := pipeline.Load(files, pipeline.Options{})
	if err != nil {
		b.Fatal(err)
	}
	plan, err := project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if err != nil {
		b.Fatal(err)
	}
	if len(plan.Jobs) != jobs {
		b.Fatalf("%d jobs", len(plan.Jobs))
	}
}

// BenchmarkPlan compiles from nothing: every file is read and parsed.
func BenchmarkPlan(b *testing.B) {
	for _, size := range []struct{ includes, jobs int }{{10, 100}, {25, 250}, {50, 500}, {100, 1000}, {149, 1000}} {
		b.Run(fmt.Sprintf("includes=%d/jobs=%d", size.includes, size.jobs), func(b *testing.B) {
			files := synthetic(size.includes, size.jobs)
			b.ReportAllocs()
			for b.Loop() {
				plan(b, files, size.jobs)
			}
		})
	}
}

// BenchmarkPlanAgain compiles for another event what is parsed already.
func BenchmarkPlanAgain(b *testing.B) {
	project, err := pipeline.Load(synthetic(50, 500), pipeline.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push, Branch: "main"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOwnPipeline compiles the pipeline of this repository, from its files.
func BenchmarkOwnPipeline(b *testing.B) {
	root := os.DirFS("..")
	if _, err := fs.Stat(root, ".gitlab-ci.yml"); err != nil {
		b.Skip(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		project, err := pipeline.Load(root, pipeline.Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push, Branch: "main"}); err != nil {
			b.Fatal(err)
		}
	}
}
