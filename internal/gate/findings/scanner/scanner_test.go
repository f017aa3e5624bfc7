package scanner

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
)

// fixtures are the paths of the reports in testdata, which were made in GitLab's directory for builds.
var fixtures = Paths{Root: filepath.Join("..", "testdata", "vulnerable"), ScanRoot: "/builds/acme/vulnerable"}

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// brief is what the tests compare of a finding.
type brief struct {
	Rule, File string
	Line       int
	Severity   string
	Suppressed bool
}

func briefs(r *findings.Report) []brief {
	list := []brief{}
	for _, f := range r.Findings {
		list = append(list, brief{f.Rule, f.Location.File, f.Location.Line, f.Severity.String(), f.Suppressed != nil})
	}
	return list
}

func TestReadFindings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fixture string
		kind    findings.Kind
		want    []brief
	}{
		{"gosec/red.json", findings.SAST, []brief{
			{"G703", "main.go", 19, "high", false},
			{"G115", "main.go", 25, "high", false},
			{"G501", "internal/store/store.go", 5, "medium", false},
			{"G401", "internal/store/store.go", 12, "medium", true},
			{"G306", "internal/store/store.go", 18, "medium", false},
			{"G501", "main.go", 5, "medium", false},
			{"G401", "main.go", 25, "medium", false},
			{"G705", "main.go", 25, "medium", false},
			{"G114", "main.go", 27, "medium", false},
			{"G104", "internal/store/store.go", 18, "low", false},
			{"G104", "main.go", 27, "low", false},
		}},
		{"gosec/green.json", findings.SAST, []brief{}},
		{"govulncheck/red.json", findings.DependencyScanning, []brief{
			{"GO-2099-0004", "go.mod", 3, "high", false},
			{"GO-2099-0001", "go.mod", 5, "high", false},
			{"GO-2099-0002", "go.mod", 5, "medium", false},
			{"GO-2099-0003", "go.mod", 5, "low", false},
		}},
		{"govulncheck/green.json", findings.DependencyScanning, []brief{}},
		{"golangci/red.json", findings.Quality, []brief{
			{"errcheck", "internal/store/store.go", 18, "high", false},
			{"errcheck", "main.go", 25, "high", false},
			{"errcheck", "main.go", 27, "high", false},
		}},
		{"golangci/green.json", findings.Quality, []brief{}},
		{"gitleaks/red.json", findings.SecretDetection, []brief{{"aws-access-token", "main.go", 3, "critical", false}}},
		{"grype/red.json", findings.ContainerScanning, []brief{
			{"GHSA-xxxx-yyyy-zzzz", "", 0, "critical", false},
			{"CVE-2099-2002", "", 0, "info", false},
		}},
		{"grype/green.json", findings.ContainerScanning, []brief{}},
	} {
		t.Run(test.fixture, func(t *testing.T) {
			t.Parallel()
			r, err := Read("", bytes.NewReader(fixture(t, test.fixture)), Options{Paths: fixtures})
			if err != nil {
				t.Fatal(err)
			}
			if r.Kind != test.kind {
				t.Errorf("kind %s, want %s", r.Kind, test.kind)
			}
			if diff := cmp.Diff(test.want, briefs(r)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if len(r.Problems) > 0 {
				t.Errorf("problems: %v", r.Problems)
			}
		})
	}
}

func TestReachability(t *testing.T) {
	t.Parallel()
	r, err := Read("govulncheck", bytes.NewReader(fixture(t, "govulncheck/red.json")), Options{Paths: fixtures})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]findings.Reach{}
	for _, f := range r.Findings {
		got[f.Rule] = f.Reach
	}
	want := map[string]findings.Reach{"GO-2099-0001": findings.Called, "GO-2099-0002": findings.Imported, "GO-2099-0003": findings.Required, "GO-2099-0004": findings.Called}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reach (-want +got):\n%s", diff)
	}
	called := r.Findings[1]
	if !called.Matches("CVE-2099-1001") || called.Dependency.Fixed != "v0.3.8" || !called.Dependency.Direct {
		t.Errorf("finding %+v", called)
	}
	var ours []string
	for _, f := range called.Trace {
		if f.Location.File != "" {
			ours = append(ours, f.Location.File)
		}
	}
	if diff := cmp.Diff([]string{"main.go", "main.go"}, ours); diff != "" {
		t.Errorf("trace's files (-want +got):\n%s", diff)
	}
}

// TestUnusable: what proves nothing must never read as "nothing found".
func TestUnusable(t *testing.T) {
	t.Parallel()
	whole := map[string][]byte{}
	for _, name := range []string{"gosec", "govulncheck", "golangci", "gitleaks", "grype"} {
		whole[name] = fixture(t, name+"/red.json")
	}
	for _, test := range []struct {
		name, format, log string
		data              []byte
		want              string
		unreachable       bool
	}{
		{name: "empty", data: nil, want: "empty"},
		{name: "white space", data: []byte(" \n"), want: "empty"},
		{name: "empty list of unknown format", data: []byte("[]"), want: "format of the report is unknown"},
		{name: "empty object", data: []byte("{}"), want: "format of the report is unknown"},
		{name: "other tool", format: "gosec", data: whole["grype"], want: "not one of gosec"},
		{name: "null for a list", format: "gitleaks", data: []byte("null"), want: "not one of gitleaks"},
		{name: "truncated gosec", data: whole["gosec"][:len(whole["gosec"])/2], want: "not complete"},
		{name: "truncated golangci", data: whole["golangci"][:len(whole["golangci"])-10], want: "not complete"},
		{name: "truncated gitleaks", format: "gitleaks", data: whole["gitleaks"][:40], want: "not complete"},
		{name: "truncated grype", data: whole["grype"][:200], want: "not complete"},
		{name: "two reports in one", data: append(bytes.Clone(whole["gosec"]), whole["gosec"]...), want: "more after its end"},
		{name: "truncated govulncheck", data: whole["govulncheck"][:len(whole["govulncheck"])-30], want: "invalid"},
		{name: "govulncheck could not load", data: fixture(t, "govulncheck/incomplete.json"), want: "could not load the packages"},
		{name: "govulncheck got no database", data: fixture(t, "govulncheck/unreachable.json"), want: "vuln.go.dev", unreachable: true},
		{name: "govulncheck got no entry", data: fixture(t, "govulncheck/query.json"), want: "vuln.go.dev", unreachable: true},
		{name: "nothing but a log", format: "govulncheck", log: string(fixture(t, "govulncheck/unreachable.log")), want: "no such host", unreachable: true},
		{name: "a mirror out of reach", format: "govulncheck", log: string(fixture(t, "govulncheck/mirror.log")), want: "vulndb format", unreachable: true},
		{name: "nothing but another log", format: "govulncheck", log: "panic: oh no", want: "empty"},
		{name: "grype got no database", format: "grype", log: "[0000] ERROR failed to load vulnerability db: database does not exist: /root/.cache/grype/db/6/vulnerability.db\n",
			want: "does not exist", unreachable: true},
		{name: "SARIF without a run", data: []byte(`{"version":"2.1.0","runs":[]}`), want: "nothing was scanned"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := Read(test.format, bytes.NewReader(test.data), Options{Paths: fixtures, Log: []byte(test.log)})
			if err == nil {
				t.Fatalf("no error, %d findings", len(r.Findings))
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %q, want %q in it", err, test.want)
			}
			if errors.Is(err, ErrUnreachable) != test.unreachable {
				t.Errorf("unreachable: %v, want %v (%v)", !test.unreachable, test.unreachable, err)
			}
		})
	}
}

func TestIncomplete(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gosec/incomplete.json", "golangci/typecheck.json"} {
		t.Run(name, func(t *testing.T) {
			// The broken file is not part of the fixture's module.
			r, err := Read("", bytes.NewReader(fixture(t, name)), Options{Paths: Paths{ScanRoot: fixtures.ScanRoot}})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Problems) == 0 {
				t.Errorf("%s: no problem is reported", name)
			}
		})
	}
}

// TestLinterSeverities: golangci-lint itself has no severity unless it is configured, and calls everything critical.
func TestLinterSeverities(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ linter, text, severity, wantRule, want string }{
		{"typecheck", "undefined: x", "", "typecheck", "critical"},
		{"govet", "copylocks", "", "govet", "high"},
		{"staticcheck", "SA4006: never used", "", "SA4006", "medium"},
		{"staticcheck", "ST1005: capitalized", "", "ST1005", "low"},
		{"staticcheck", "Something: else", "", "staticcheck", "medium"},
		{"godot", "no period", "", "godot", "info"},
		{"somebodys", "x", "", "somebodys", "low"},
		{"godot", "no period", "error", "godot", "high"},
		{"govet", "x", "info", "govet", "info"},
	} {
		t.Run(test.linter, func(t *testing.T) {
			text := fmt.Sprintf(`{"Issues":[{"FromLinter":%q,"Text":%q,"Severity":%q,"Pos":{"Filename":"a.go","Line":1}}],"Report":{}}`, test.linter, test.text, test.severity)
			r, err := Read("golangci", strings.NewReader(text), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if f := r.Findings[0]; f.Rule != test.wantRule || f.Severity.String() != test.want {
				t.Errorf("%s %q: %s %s, want %s %s", test.linter, test.text, f.Rule, f.Severity, test.wantRule, test.want)
			}
		})
	}
}

func TestPaths(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "services", "orders"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"main.go", "services/orders/orders.go"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name  string
		paths Paths
		in    string
		want  string
		err   string
	}{
		{name: "relative", paths: Paths{Root: root}, in: "main.go", want: "main.go"},
		{name: "dotted", paths: Paths{Root: root}, in: "./services/../main.go", want: "main.go"},
		{name: "absolute", paths: Paths{Root: root}, in: filepath.Join(root, "services/orders/orders.go"), want: "services/orders/orders.go"},
		{name: "module of a monorepo", paths: Paths{Root: root, Prefix: "services/orders"}, in: "orders.go", want: "services/orders/orders.go"},
		{name: "prefix does not touch absolute paths", paths: Paths{Root: root, Prefix: "services/orders"}, in: filepath.Join(root, "main.go"), want: "main.go"},
		{name: "other machine", paths: Paths{Root: root, ScanRoot: "/builds/acme/app/"}, in: "/builds/acme/app/main.go", want: "main.go"},
		{name: "no look-up", paths: Paths{}, in: "anything.go", want: "anything.go"},
		{name: "none", paths: Paths{Root: root}, in: "", want: ""},
		{name: "forgotten prefix", paths: Paths{Root: root}, in: "orders.go", err: "--prefix"},
		{name: "forgotten root", paths: Paths{Root: root}, in: "/builds/acme/app/main.go", err: "--scan-root"},
		{name: "root with a longer name", paths: Paths{Root: root, ScanRoot: "/builds/app"}, in: "/builds/app2/main.go", err: "--scan-root"},
		{name: "out of the repository", paths: Paths{Root: root}, in: "../secret.go", err: "leads out"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := test.paths.Resolve(test.in)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"gosec/red.json", "govulncheck/red.json", "golangci/red.json", "gitleaks/red.json", "grype/red.json"} {
		data, err := os.ReadFile(filepath.Join("..", "testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add("", data)
		f.Add("gitleaks", data[:len(data)/3])
	}
	f.Fuzz(func(_ *testing.T, format string, data []byte) {
		_, _ = Read(format, bytes.NewReader(data), Options{})
	})
}
