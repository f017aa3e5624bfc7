package pipeline_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{
		".gitlab-ci.yml": "include: [a.yml, a.yml]\nstages: [unit]\nunit: {extends: .base, stage: unit, script: [!reference [.base, image]]}\n",
		"a.yml":          ".base: {image: go}\n",
	})
	config, err := project.Config(t.Context(), pipeline.Event{Source: pipeline.Push})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{".gitlab-ci.yml", "a.yml"}, config.Files); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"unit"}, config.Jobs()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{".pre", "unit", ".post"}, config.Stages()); diff != "" {
		t.Error(diff)
	}
	var out strings.Builder
	if err := config.WriteYAML(&out, true); err != nil {
		t.Fatal(err)
	}
	want := `# a.yml:1
.base:
  image: go

# .gitlab-ci.yml:2
stages:
  - .pre
  - unit
  - .post

# .gitlab-ci.yml:3
unit:
  image: go  # a.yml:1
  stage: unit
  script:
    - go  # a.yml:1
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestConfigYAML(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{
		".gitlab-ci.yml": {Data: []byte(`include: [ci/base.yml]
variables:
  A: "1"
test:
  extends: .go
  variables:
    C: "3"
  script:
    - |
      echo one
      echo two
lint:
  extends: .go
  script: [make lint]
`)},
		"ci/base.yml": {Data: []byte(`.go:
  image: golang:1.27.4
  variables:
    B: "yes"
  rules:
    - if: $CI_COMMIT_TAG
      when: never
    - when: on_success
lint:
  tags: [small]
`)},
	}
	const want = `# .gitlab-ci.yml:2
variables:
  A: "1"

# ci/base.yml:1
.go:
  image: golang:1.27.4
  variables:
    B: "yes"
  rules:
    - if: $CI_COMMIT_TAG
      when: never
    - when: on_success

# .gitlab-ci.yml:4
test:
  image: golang:1.27.4  # ci/base.yml:2
  variables:
    B: "yes"  # ci/base.yml:4
    C: "3"
  rules:  # ci/base.yml:5
    - if: $CI_COMMIT_TAG
      when: never
    - when: on_success
  script:
    - |
      echo one
      echo two
`
	got := mergedYAML(t, files, true)
	// The order of top-level keys is the engine's, so each job is compared separately.
	for part := range strings.SplitSeq(want, "\n\n") {
		if !strings.Contains(got, strings.TrimSpace(part)) {
			t.Errorf("the output does not contain:\n%s\n---\n%s", part, got)
		}
	}
	if plain := mergedYAML(t, files, false); strings.Contains(plain, "#") {
		t.Errorf("a comment, although none was requested:\n%s", plain)
	}
}

// TestConfigYAMLCompilesToTheSame compiles each merged configuration of GitLab's own corpus again, and gets the same plan.
func TestConfigYAMLCompilesToTheSame(t *testing.T) {
	t.Parallel()
	compared := 0
	err := filepath.WalkDir("testdata/conformance", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".txtar" {
			return err
		}
		archive, err := txtar.ParseFile(path)
		if err != nil {
			return err
		}
		files := fstest.MapFS{}
		for _, file := range archive.Files {
			if fs.ValidPath(file.Name) {
				files[file.Name] = &fstest.MapFile{Data: file.Data}
			}
		}
		project, err := pipeline.Load(files, pipeline.Options{})
		if err != nil {
			return nil
		}
		event := pipeline.Event{Source: pipeline.Push, Branch: "main", AnyRef: true}
		before, err := project.Plan(t.Context(), event)
		if err != nil {
			return nil
		}
		compared++
		text := mergedYAML(t, files, true)
		files[".gitlab-ci.yml"] = &fstest.MapFile{Data: []byte(text)}
		again, err := pipeline.Load(files, pipeline.Options{})
		if err != nil {
			return err
		}
		after, err := again.Plan(t.Context(), event)
		if err != nil {
			t.Errorf("%s: the merged configuration is refused: %v\n%s", path, err, text)
			return nil
		}
		if diff := cmp.Diff(gitLabJobs(t, before), gitLabJobs(t, after)); diff != "" {
			t.Errorf("%s: jobs (-original +merged):\n%s\n%s", path, diff, text)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if compared < 100 {
		t.Errorf("only %d configurations were compared", compared)
	}
}

// gitLabJobs returns the jobs of a plan in the form in which GitLab stores them.
func gitLabJobs(t *testing.T, plan *pipeline.Plan) string {
	t.Helper()
	text, err := json.MarshalIndent(render.GitLabJobs(plan.Jobs), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func mergedYAML(t *testing.T, files fs.FS, comments bool) string {
	t.Helper()
	project, err := pipeline.Load(files, pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	config, err := project.Config(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main", AnyRef: true})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := config.WriteYAML(&out, comments); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func BenchmarkConfigYAML(b *testing.B) {
	b.ReportAllocs()
	project, err := pipeline.Load(os.DirFS(".."), pipeline.Options{})
	if err != nil {
		b.Fatal(err)
	}
	config, err := project.Config(b.Context(), pipeline.Event{Source: pipeline.Push, AnyRef: true})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := config.WriteYAML(new(strings.Builder), true); err != nil {
			b.Fatal(err)
		}
	}
}
