package lint_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/lint"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

var update = flag.Bool("update", false, "write the golden files again")

// The corpus has configurations with the traits of real projects. Its golden findings were reviewed one by one: nine in ten have to be
// useful to the people of such a project, so a rule that adds findings here has to be worth reading.
func TestCorpus(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/corpus/*.txtar")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d configurations in the corpus (%v)", len(names), err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			golden := len(archive.Files)
			files := fstest.MapFS{}
			for i, file := range archive.Files {
				if file.Name == "findings" {
					golden = i
					continue
				}
				files[file.Name] = &fstest.MapFile{Data: file.Data}
			}
			// Files of other projects are not here, as on a laptop without access to them.
			project, err := pipeline.Load(files, pipeline.Options{SkipMissing: func(*pipeline.Error) bool { return true }})
			if err != nil {
				t.Fatal(err)
			}
			findings, err := lint.Run(t.Context(), files, project, lint.Options{Incomplete: true})
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := lint.Text(&got, findings, 0, render.Palette{}); err != nil {
				t.Fatal(err)
			}
			if golden == len(archive.Files) {
				archive.Files = append(archive.Files, txtar.File{Name: "findings"})
			}
			if diff := cmp.Diff(string(archive.Files[golden].Data), got.String()); diff != "" && !*update {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if *update {
				archive.Files[golden].Data = got.Bytes()
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
