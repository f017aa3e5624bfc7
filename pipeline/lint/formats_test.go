package lint_test

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"gitlab.com/slipway-ci/slipway/internal/docs"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/lint"
)

var someFindings = []lint.Finding{
	{Rule: "image-not-pinned", Severity: lint.Warning, Position: pipeline.Position{File: "ci/a b.yml", Line: 3, Column: 5}, Path: "jobs:a:image", Message: "m", Hint: "h"},
	{Rule: "image-not-pinned", Severity: lint.Warning, Position: pipeline.Position{File: ".gitlab-ci.yml", Line: 4}, Path: "jobs:b:image", Message: "m", Hint: "h"},
	{Rule: "invalid", Severity: lint.Error, Position: pipeline.Position{File: "platform/ci@main:x.yml"}, Message: "e"},
}

// The reports conform to the schemas of their formats.
func TestReportsConformToTheirSchemas(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		schema string
		write  func(io.Writer, []lint.Finding) error
	}{
		{"sarif-2.1.0.json", func(w io.Writer, f []lint.Finding) error { return lint.SARIF(w, f, "1.2.3") }},
		{"codequality.json", lint.CodeQuality},
	} {
		for name, findings := range map[string][]lint.Finding{"some": someFindings, "none": nil} {
			t.Run(tt.schema+" with "+name, func(t *testing.T) {
				schema, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "internal", "report", "testdata", "schemas", tt.schema))
				if err != nil {
					t.Fatal(err)
				}
				var out bytes.Buffer
				if err := tt.write(&out, findings); err != nil {
					t.Fatal(err)
				}
				value, err := jsonschema.UnmarshalJSON(bytes.NewReader(out.Bytes()))
				if err != nil {
					t.Fatal(err)
				}
				if err := schema.Validate(value); err != nil {
					t.Errorf("%v\n%s", err, out.String())
				}
			})
		}
	}
}

func TestEveryRuleOfSARIFHasHelp(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := lint.SARIF(&out, someFindings, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"helpUri": "` + docs.Page("lint.md") + `#image-not-pinned"`, `"helpUri": "` + docs.Page("lint.md") + `#invalid"`, `"uri": "ci/a%20b.yml"`,
		`"uri": "platform/ci@main%3Ax.yml"`, `"ruleIndex": 1`, `"version": "1.2.3"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %s in\n%s", want, out.String())
		}
	}
}

func TestBaselineHidesWhatItKnows(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if accepted, err := lint.WriteBaseline(&out, someFindings); err != nil || accepted != 2 {
		t.Fatalf("%d accepted, error %v; want 2", accepted, err)
	}
	baseline, err := lint.ReadBaseline(&out)
	if err != nil {
		t.Fatal(err)
	}
	moved := append([]lint.Finding{}, someFindings...)
	moved[0].Position.Line = 30
	moved[1].Message = "another"
	left, fixed := baseline.New(moved)
	if diff := cmp.Diff(moved[1:], left); diff != "" || fixed != 1 {
		t.Errorf("%d fixed, want 1; new findings (-want +got):\n%s", fixed, diff)
	}
}

func TestBaselineRejectsOtherFiles(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"list": "[]", "version": `{"version": 7}`, "no fingerprint": `{"version": 1, "findings": [{"rule": "a"}]}`, "not JSON": "a: b",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := lint.ReadBaseline(strings.NewReader(text)); err == nil {
				t.Error("no error")
			}
		})
	}
}
