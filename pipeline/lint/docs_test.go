package lint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"gitlab.com/slipway-ci/slipway/pipeline/lint"
)

// The page of the rules is generated from the rules and from the examples of their fixtures: `go test ./pipeline/lint -update`. Each
// rule reports its example below wrong/, and has nothing to say about the remedy below right/.
func TestDocs(t *testing.T) {
	t.Parallel()
	const page = "../../docs/lint.md"
	var out strings.Builder
	out.WriteString(docsHead)
	for _, rule := range lint.Rules() {
		archive, err := txtar.ParseFile(filepath.Join("testdata", rule.ID+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		wrong, right := withConfiguration(fixture(t, rule.ID, "wrong")), withConfiguration(fixture(t, rule.ID, "right"))
		found := only(rule.ID, run(t, wrong, switchedOn(rule)))
		if len(found) == 0 {
			t.Errorf("%s: the example is not reported", rule.ID)
			continue
		}
		for _, f := range only(rule.ID, run(t, right, switchedOn(rule))) {
			t.Errorf("%s: the remedy is reported: %s: %s", rule.ID, place(f.Position), f.Message)
		}
		fmt.Fprintf(&out, "## %s\n\nReports %s (%s). Why: %s.\n\n", rule.ID, rule.Summary, level(rule), rule.Why)
		writeExample(&out, archive, "wrong/")
		fmt.Fprintf(&out, "> %s: %s  \n> %s\n\nRemedy:\n\n", place(found[0].Position), found[0].Message, found[0].Hint)
		writeExample(&out, archive, "right/")
	}
	text := strings.TrimRight(out.String(), "\n") + "\n"
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(data), text); diff != "" {
		t.Errorf("%s is not what -update writes (-page +generated):\n%s", page, diff)
	}
}

const docsHead = `# Rules of slipway lint

Generated from the rules and their tests; each example and each remedy below is checked. How rules are switched on and off, and what else
lint does, is in [slipway.md](slipway.md#lint-errors-and-pitfalls).

## invalid

Reports what GitLab refuses, as an error: the configuration as such, or the pipeline of the events that are listed. It cannot be switched
off.

## gitlab-lint

Reports, with ` + "`--online`" + `, what the CI lint API of the project's GitLab refuses or warns of, and where its verdict, its merged
configuration or its jobs differ from slipway's.

`

func level(rule lint.Rule) string {
	if rule.Severity == lint.Off {
		return "off by default"
	}
	return string(rule.Severity)
}

func only(id string, findings []lint.Finding) []lint.Finding {
	var found []lint.Finding
	for _, f := range findings {
		if f.Rule == id {
			found = append(found, f)
		}
	}
	return found
}

// withConfiguration adds a configuration to an example that is a template only.
func withConfiguration(files fstest.MapFS) fstest.MapFS {
	if files[".gitlab-ci.yml"] == nil {
		files[".gitlab-ci.yml"] = &fstest.MapFile{Data: []byte("test:\n  script: [make test]\n")}
	}
	return files
}

func writeExample(out *strings.Builder, archive *txtar.Archive, kind string) {
	for _, file := range archive.Files {
		name, ok := strings.CutPrefix(file.Name, kind)
		if !ok {
			continue
		}
		fmt.Fprintf(out, "```yaml\n")
		if name != ".gitlab-ci.yml" {
			fmt.Fprintf(out, "# %s\n", name)
		}
		fmt.Fprintf(out, "%s```\n\n", file.Data)
	}
}
