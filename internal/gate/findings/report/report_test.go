package report

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
	"gitlab.com/slipway-ci/slipway/internal/gate/findings/scanner"
	"gitlab.com/slipway-ci/slipway/internal/report"
)

func read(t *testing.T, name string) *findings.Report {
	t.Helper()
	file, err := os.Open(filepath.Join("..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := scanner.Read("", file, scanner.Options{Paths: scanner.Paths{
		Root: filepath.Join("..", "testdata", "vulnerable"), ScanRoot: "/builds/acme/vulnerable",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	s, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "..", "report", "testdata", "schemas", name))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func render(t *testing.T, write Writer, r *findings.Report) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b, r); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func validate(s *jsonschema.Schema, data []byte) error {
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return s.Validate(v)
}

var day = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

var formats = map[string]struct {
	write  Writer
	schema string
}{
	"gitlab":      {GitLab(day, day.Add(time.Minute)), "gitlab-security-15.json"},
	"sarif":       {SARIF, "sarif-2.1.0.json"},
	"codequality": {CodeQuality, "codequality.json"},
	"sonar":       {Sonar, "sonar.json"},
}

func TestSchemas(t *testing.T) {
	t.Parallel()
	for _, fixture := range []string{
		"gosec/red.json", "gosec/green.json", "govulncheck/red.json", "govulncheck/green.json", "golangci/red.json",
		"golangci/green.json", "gitleaks/red.json", "grype/red.json", "grype/green.json",
	} {
		for name, format := range formats {
			if name == "gitlab" && strings.HasPrefix(fixture, "golangci") {
				continue
			}
			t.Run(fixture+" as "+name, func(t *testing.T) {
				t.Parallel()
				data := render(t, format.write, read(t, fixture))
				if err := validate(schema(t, format.schema), data); err != nil {
					t.Errorf("%v\n%s", err, data)
				}
			})
		}
	}
}

// TestSchemasCanFail makes sure that the schemas object to what GitLab would object to.
func TestSchemasCanFail(t *testing.T) {
	t.Parallel()
	r := read(t, "gosec/red.json")
	for _, test := range []struct{ name, format, old, new string }{
		{"severity in capitals", "gitlab", `"severity": "High"`, `"severity": "HIGH"`},
		{"time with a zone", "gitlab", `"end_time": "2026-03-04T05:07:07"`, `"end_time": "2026-03-04T05:07:07Z"`},
		{"no identifiers", "gitlab", `"identifiers": [`, `"identifiers": [], "x": [`},
		{"unknown type", "gitlab", `"type": "sast"`, `"type": "dast"`},
		{"version", "gitlab", `"version": "15.1.4"`, `"version": "14.0.0"`},
		{"level", "sarif", `"level": "warning"`, `"level": "medium"`},
		{"no rule", "sarif", `"startLine": 19`, `"startLine": 0`},
		{"severity", "codequality", `"severity": "major"`, `"severity": "medium"`},
		{"absolute path", "codequality", `"path": "main.go"`, `"path": "/main.go"`},
		{"impact", "sonar", `"severity": "LOW"`, `"severity": "MINOR"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			format := formats[test.format]
			good := string(render(t, format.write, r))
			bad := strings.Replace(good, test.old, test.new, 1)
			if bad == good {
				t.Fatalf("there is no %s in\n%s", test.old, good)
			}
			if validate(schema(t, format.schema), []byte(bad)) == nil {
				t.Error("the schema does not mind")
			}
		})
	}
}

// TestSeverities: gosec's own SARIF calls MEDIUM and HIGH the same.
func TestSeverities(t *testing.T) {
	t.Parallel()
	var log report.Log
	if err := json.Unmarshal(render(t, SARIF, read(t, "gosec/red.json")), &log); err != nil {
		t.Fatal(err)
	}
	got := map[string][2]any{}
	for _, r := range log.Runs[0].Tool.Driver.Rules {
		got[r.ID] = [2]any{r.Default.Level, r.Properties["security-severity"]}
	}
	want := map[string][2]any{
		"G703": {"error", "8.0"}, "G115": {"error", "8.0"},
		"G501": {"warning", "5.5"}, "G401": {"warning", "5.5"}, "G306": {"warning", "5.5"}, "G705": {"warning", "5.5"}, "G114": {"warning", "5.5"},
		"G104": {"note", "2.0"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

// TestSuppressed: only SARIF can say that a finding is suppressed, so it is in no other report.
func TestSuppressed(t *testing.T) {
	t.Parallel()
	r := read(t, "gosec/red.json")
	if all, open := len(r.Findings), len(r.Open()); all != 11 || open != 10 {
		t.Fatalf("%d findings, %d open", all, open)
	}
	for name, marker := range map[string]string{"gitlab": `"identifiers"`, "codequality": `"fingerprint"`, "sonar": `"ruleId"`, "sarif": `"ruleIndex"`} {
		t.Run(name, func(t *testing.T) {
			want := 10
			if name == "sarif" {
				want = 11
			}
			if got := bytes.Count(render(t, formats[name].write, r), []byte(marker)); got != want {
				t.Errorf("%s has %d findings, want %d", name, got, want)
			}
		})
	}
	if !bytes.Contains(render(t, SARIF, r), []byte(`"justification": "a name, not a protection"`)) {
		t.Error("the SARIF does not say why the finding is suppressed")
	}
}

// TestFingerprintsSurviveMoves: code that comes or goes above a finding makes no new finding of it.
func TestFingerprintsSurviveMoves(t *testing.T) {
	t.Parallel()
	shifted := func(shift int, snippet string) *findings.Report {
		r := &findings.Report{Tool: findings.Tool{ID: "gosec"}, Kind: findings.SAST}
		for _, line := range []int{10, 20} {
			r.Findings = append(r.Findings, findings.Finding{
				Rule: "G304", Message: "m", Snippet: snippet, Location: findings.Location{File: "a.go", Line: line + shift},
			})
		}
		r.Fingerprint()
		return r
	}
	prints := func(r *findings.Report) []string {
		return []string{r.Findings[0].Fingerprint, r.Findings[1].Fingerprint}
	}
	before := prints(shifted(0, "os.Open(name)"))
	if before[0] == before[1] {
		t.Error("two findings with one text have one fingerprint")
	}
	if diff := cmp.Diff(before, prints(shifted(7, "  os.Open(name)  "))); diff != "" {
		t.Errorf("moved findings have other fingerprints:\n%s", diff)
	}
	if after := prints(shifted(0, "os.Open(other)")); after[0] == before[0] {
		t.Error("other code has the same fingerprint")
	}
}

func TestSecretsStaySecret(t *testing.T) {
	t.Parallel()
	leak := `[{"RuleID":"key","Description":"A key","File":"main.go","StartLine":3,"Secret":"hunter2","Match":"key = hunter2","Commit":"abc"}]`
	r, err := scanner.Read("gitleaks", strings.NewReader(leak), scanner.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, format := range formats {
		if bytes.Contains(render(t, format.write, r), []byte("hunter2")) {
			t.Errorf("%s has the secret", name)
		}
	}
}

// TestLimits: GitLab drops a SARIF file with more than 5,000 results or longer texts.
func TestLimits(t *testing.T) {
	t.Parallel()
	r := &findings.Report{Tool: findings.Tool{ID: "x", Name: "x"}, Kind: findings.SAST}
	for i := range 6000 {
		f := findings.Finding{Rule: "R", Name: "n", Message: strings.Repeat("ü", 2000), Location: findings.Location{File: "a.go", Line: i + 1}}
		if i == 5999 {
			f.Rule, f.Severity = "WORST", findings.Critical
		}
		r.Findings = append(r.Findings, f)
	}
	var log report.Log
	if err := json.Unmarshal(render(t, SARIF, r), &log); err != nil {
		t.Fatal(err)
	}
	results := log.Runs[0].Results
	if len(results) != 5000 || results[0].RuleID != "WORST" || len(results[1].Message.Text) > 1024 {
		t.Errorf("%d results, first %s, text of %d bytes", len(results), results[0].RuleID, len(results[1].Message.Text))
	}
	if len(log.Runs[0].Invocations[0].Notifications) != 1 {
		t.Error("nothing says that results are missing")
	}
}

// TestSARIFIngestion holds the log against what GitLab wants beyond the standard: it drops results without a rule, a file of
// the repository or a region, and folds results of one rule and file that have none.
func TestSARIFIngestion(t *testing.T) {
	t.Parallel()
	for _, fixture := range []string{"gosec/red.json", "govulncheck/red.json", "golangci/red.json", "gitleaks/red.json", "grype/red.json"} {
		t.Run(fixture, func(t *testing.T) {
			var log report.Log
			if err := json.Unmarshal(render(t, SARIF, read(t, fixture)), &log); err != nil {
				t.Fatal(err)
			}
			run := log.Runs[0]
			if len(run.Results) == 0 {
				t.Errorf("%s: no results", fixture)
			}
			for _, r := range run.Results {
				if run.Tool.Driver.Rules[r.RuleIndex].HelpURI == "" {
					t.Errorf("%s: the rule %s has no help", fixture, r.RuleID)
				}
				if r.RuleID == "" || run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
					t.Errorf("%s: result %+v has no rule", fixture, r)
				}
				if p := r.Locations[0].Physical; p == nil || p.Artifact.URI == "" || p.Artifact.URI[0] == '/' || p.Region.StartLine < 1 || p.Region.EndLine < p.Region.StartLine {
					t.Errorf("%s: result %+v has no place", fixture, r)
				}
				if r.Fingerprints["slipway/v1"] == "" {
					t.Errorf("%s: result %+v has no fingerprint", fixture, r)
				}
			}
		})
	}
}

// TestRoundTrip: what we write, the gate can read.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	want := read(t, "gosec/red.json")
	for _, name := range []string{"gitlab", "sarif"} {
		t.Run(name, func(t *testing.T) {
			got, err := scanner.Read("", bytes.NewReader(render(t, formats[name].write, want)), scanner.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if g, w := len(got.Open()), len(want.Open()); g != w {
				t.Errorf("%s: %d findings, want %d", name, g, w)
			}
			for i, f := range got.Open() {
				if w := want.Open()[i]; f.Severity != w.Severity || f.Rule != w.Rule || f.Location.Line != w.Location.Line {
					t.Errorf("%s: %s %s %d, want %s %s %d", name, f.Severity, f.Rule, f.Location.Line, w.Severity, w.Rule, w.Location.Line)
				}
			}
		})
	}
}
