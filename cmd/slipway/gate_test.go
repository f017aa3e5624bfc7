package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// slipway runs the command as main would, and gives its exit code and all that it printed.
func slipway(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	var b bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &b, &b)
	return code, b.String()
}

func TestGateExitCodes(t *testing.T) {
	t.Parallel()
	const data = "../../internal/gate/findings/testdata/"
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unknownKey := file("unknown.yml", "- rule: G115\n  pth: x\n")
	empty := file("empty.json", "")
	for _, test := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"green", []string{"--report", data + "gosec/green.json"}, 0, "0 findings"},
		{"red", []string{"--report", data + "gosec/red.json"}, 1, "How to accept"},
		{"named format", []string{"--report", "gitleaks=" + data + "gitleaks/green.json"}, 0, "0 findings"},
		{"empty report", []string{"--report", empty}, 2, "proves nothing"},
		{"missing report", []string{"--report", "nowhere.json"}, 2, "nowhere.json"},
		{"incomplete", []string{"--report", data + "govulncheck/incomplete.json"}, 2, "do they compile"},
		{"unreachable", []string{"--report", data + "govulncheck/unreachable.json"}, 3, "could not reach"},
		{"unreachable by its log", []string{"--report", "govulncheck=" + empty, "--log", data + "govulncheck/unreachable.log"}, 3, "no such host"},
		{"red beats unreachable", []string{"--report", data + "govulncheck/unreachable.json", "--report", data + "gosec/red.json"}, 1, "How to fix"},
		{"invalid beats unreachable", []string{"--report", data + "govulncheck/unreachable.json", "--report", empty}, 2, "proves nothing"},
		{"old database", []string{"--report", data + "govulncheck/green.json", "--max-database-days", "1"}, 3, "too old"},
		{"severity below", []string{"--report", data + "gosec/red.json", "--min-severity", "critical"}, 0, "below the threshold"},
		{"unknown severity", []string{"--report", data + "gosec/red.json", "--min-severity", "awful"}, 2, "is not one of"},
		{"unknown key", []string{"--report", data + "gosec/red.json", "--accepted", unknownKey}, 2, "unknown.yml:2:3: unknown key"},
		{"accepted file missing", []string{"--report", data + "gosec/red.json", "--accepted", "nowhere.yml"}, 2, "nowhere.yml"},
		{"no report", nil, 2, "required flag"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"gate", "--root", data + "vulnerable", "--scan-root", "/builds/acme/vulnerable"}, test.args...)
			code, output := slipway(t, args...)
			if code != test.code || !strings.Contains(output, test.want) {
				t.Errorf("exit code %d, want %d and %q in\n%s", code, test.code, test.want, output)
			}
		})
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	const data = "../../internal/gate/findings/testdata/"
	dir := t.TempDir()
	out := func(name string) string { return filepath.Join(dir, "reports", name) }
	code, output := slipway(t, "report", "gosec", data+"gosec/red.json", "--root", data+"vulnerable", "--scan-root", "/builds/acme/vulnerable",
		"--gitlab", out("sast.json"), "--sarif", out("gosec.sarif"), "--codequality", out("quality.json"), "--sonar", out("sonar.json"))
	if code != 0 || output != "gosec: 10 findings (2 high, 6 medium, 2 low), 1 suppressed\n" {
		t.Errorf("exit code %d: %s", code, output)
	}
	for _, name := range []string{"sast.json", "gosec.sarif", "quality.json", "sonar.json"} {
		content, err := os.ReadFile(out(name))
		if err != nil || !bytes.Contains(content, []byte(`"internal/store/store.go"`)) {
			t.Errorf("%s: %v\n%s", name, err, content)
		}
	}
	if code, output := slipway(t, "report", "gosec", data+"gosec/red.json", "--root", data+"vulnerable"); code != 2 || !strings.Contains(output, "--scan-root") {
		t.Errorf("foreign paths: exit code %d: %s", code, output)
	}
	if code, _ := slipway(t, "report", "govulncheck", data+"govulncheck/unreachable.json", "--root", data+"vulnerable"); code != 3 {
		t.Errorf("unreachable: exit code %d", code)
	}
}

// TestGateOnNewFindings is a merge request that adds one finding to a file that had one.
func TestGateOnNewFindings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		fill(t, path, []byte(content))
		return path
	}
	put("a.go", "package a\n\nvar old = md5.New()\n")
	initRepository(t, dir)
	runGit(t, dir, "checkout", "--quiet", "-b", "topic")
	put("a.go", "package a\n\n// More.\nvar old = md5.New()\n\nvar fresh = md5.New()\n")
	commitAll(t, dir)
	issue := func(line string) string {
		return `{"severity":"HIGH","confidence":"HIGH","rule_id":"G401","details":"weak","file":"a.go","code":"","line":"` + line + `","column":"1"}`
	}
	report := func(issues ...string) string {
		return put("gosec.json", `{"Golang errors":{},"Issues":[`+strings.Join(issues, ",")+`],"Stats":{"files":1},"GosecVersion":"dev"}`)
	}
	both := []string{"gate", "--root", dir, "--new-from", "main", "--report"}
	if code, output := slipway(t, append(both, report(issue("4"), issue("6")))...); code != 1 || !strings.Contains(output, "a.go:6") || !strings.Contains(output, "1 not new") {
		t.Errorf("a new finding: exit code %d\n%s", code, output)
	}
	if code, output := slipway(t, append(both, report(issue("4")))...); code != 0 || !strings.Contains(output, "1 not new") {
		t.Errorf("an old finding: exit code %d\n%s", code, output)
	}
	put(".gitlab/accepted-risks.yml", "- rule: G401\n  path: a.go\n  owner: me\n  reason: a name\n  expires: "+time.Now().AddDate(0, 1, 0).Format(time.DateOnly)+"\n")
	if code, output := slipway(t, append(both, report(issue("6")))...); code != 0 || !strings.Contains(output, "accepted  gosec G401  a.go:6") {
		t.Errorf("an accepted finding: exit code %d\n%s", code, output)
	}
	if code, output := slipway(t, "gate", "--root", dir, "--new-from", "nowhere", "--report", report()); code != 2 || !strings.Contains(output, "nowhere") {
		t.Errorf("no such branch: exit code %d\n%s", code, output)
	}
}
