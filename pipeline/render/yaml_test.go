package render_test

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
	"pgregory.net/rapid"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

func TestYAMLTellsWherePartsComeFrom(t *testing.T) {
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
	got := compile(t, files, true)
	// The order of top-level keys is the engine's; each job is looked at by itself.
	for part := range strings.SplitSeq(want, "\n\n") {
		if !strings.Contains(got, strings.TrimSpace(part)) {
			t.Errorf("the output does not contain:\n%s\n---\n%s", part, got)
		}
	}
	if plain := compile(t, files, false); strings.Contains(plain, "#") {
		t.Errorf("a comment, though none was wanted:\n%s", plain)
	}
}

// What GitLab's own corpus of configurations merges to compiles to the same plan again.
func TestYAMLCompilesToTheSame(t *testing.T) {
	t.Parallel()
	compared := 0
	err := filepath.WalkDir("../testdata/conformance", func(path string, entry fs.DirEntry, err error) error {
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
		text := compile(t, files, true)
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
		if diff := cmp.Diff(jobs(t, before), jobs(t, after)); diff != "" {
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

// Any text survives being written and read, as a key and as a value.
func TestYAMLKeepsAnyText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`[ -~\n\t]{0,30}`),
			rapid.SampledFrom([]string{"yes", "on", "1:30", "0755", "~", "null", "a: b", "a #b", "- a", "|", "", " ", "\n", "a\n", "a\n\n", "a\n b\n", ".5", "1e3", "!x", "&a", "*a", "{}", "[]", "---", "'", "\"", "\\", "é", "\u2028", "\ufeff", "a:", "a: ", "a\tb", "2026-01-01"}),
		).Draw(t, "text")
		at := yamltree.Position{File: "x", Line: 1, Column: 1}
		value := yamltree.NewString(text, at)
		root := yamltree.NewMapping([]yamltree.Pair{
			{Key: yamltree.NewString("k"+text, at), Value: yamltree.NewMapping([]yamltree.Pair{
				{Key: yamltree.NewString("value", at), Value: value},
				{Key: yamltree.NewString("list", at), Value: yamltree.NewSequence([]*yamltree.Node{value, yamltree.NewSequence([]*yamltree.Node{value}, at)}, at)},
			}, at)},
		}, at)
		var out strings.Builder
		if err := render.YAML(&out, &pipeline.Config{Root: root}, false); err != nil {
			t.Fatal(err)
		}
		documents, err := yamltree.Parse("x", []byte(out.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		got := documents[0].Get("k" + text)
		for _, n := range []*yamltree.Node{got.Get("value"), got.Get("list").Items[0], got.Get("list").Items[1].Items[0]} {
			if !n.Is(yamltree.String) || n.Text != text {
				t.Fatalf("%q came back as %v %q\n%s", text, n.Kind, n.Text, out.String())
			}
		}
	})
}

// jobs are those of a plan as GitLab would tell them.
func jobs(t *testing.T, plan *pipeline.Plan) string {
	t.Helper()
	text, err := json.MarshalIndent(render.GitLabJobs(plan.Jobs), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func compile(t *testing.T, files fs.FS, comments bool) string {
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
	if err := render.YAML(&out, config, comments); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func BenchmarkYAML(b *testing.B) {
	b.ReportAllocs()
	project, err := pipeline.Load(os.DirFS("../.."), pipeline.Options{})
	if err != nil {
		b.Fatal(err)
	}
	config, err := project.Config(b.Context(), pipeline.Event{Source: pipeline.Push, AnyRef: true})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := render.YAML(new(strings.Builder), config, true); err != nil {
			b.Fatal(err)
		}
	}
}
