package consumers

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// weak has one finding of gosec, G401 at line 8.
const weak = `package library

import (
	"crypto/md5"
	"fmt"
)

func sum(text string) string { return fmt.Sprintf("%x", md5.Sum([]byte(text))) }

// Name returns a name of fixed length.
func Name(title string) string { return sum(Slug(title)) }
`

func accepted(expires time.Time) string {
	return fmt.Sprintf(`- rule: G401
  path: weak.go
  owner: "@acme/library"
  reason: names are not secret
  expires: %s
- rule: G501
  path: weak.go
  owner: "@acme/library"
  reason: names are not secret
  expires: %[1]s
`, expires.Format(time.DateOnly))
}

func TestGosecGate(t *testing.T) {
	t.Parallel()
	const file = ".gitlab/accepted-risks.yml"
	for _, c := range []struct {
		name   string
		change func(*project)
		code   int
		says   []string
	}{
		{"finding", func(p *project) { p.write("weak.go", weak) }, 1,
			[]string{"weak.go:8", "G401", "How to fix", "How to accept: add to " + file, "https://gitlab.com/slipway-ci/slipway"}},
		{"accepted", func(p *project) { p.write("weak.go", weak); p.write(file, accepted(time.Now().AddDate(0, 1, 0))) }, 0,
			[]string{"accepted", "@acme/library", "names are not secret"}},
		{"expired", func(p *project) { p.write("weak.go", weak); p.write(file, accepted(time.Now().AddDate(0, 0, -2))) }, 1,
			[]string{"which is over", "set a new date"}},
		{"accepted for nine years", func(p *project) { p.write("weak.go", weak); p.write(file, accepted(time.Now().AddDate(9, 0, 0))) }, 2,
			[]string{file}},
		{"suppressed in the source", func(p *project) {
			p.write("weak.go", strings.NewReplacer("crypto/md5\"", "crypto/md5\" // #nosec G501 -- not a secret", "return fmt", "/* #nosec G401 */ return fmt").Replace(weak))
		}, 0, nil},
		{"code that does not compile", func(p *project) { p.write("weak.go", "package library\n\nfunc broken( {\n") }, 2, []string{"incomplete"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := clone(t, "library")
			c.change(p)
			p.commit("Change")
			o := p.run(nil, "gosec")
			if c.code == 0 {
				o.green("gosec-scan", "gosec")
			} else {
				o.red("gosec", c.code, c.says...)
			}
			// Findings are reported regardless of the gate's result.
			if sast := o.artifact("gosec-scan", ".reports/gosec/gl-sast-report.json"); !strings.Contains(sast, `"version"`) {
				t.Errorf("no SAST report: %.100q", sast)
			}
		})
	}
}

// TestGosecScanCache checks that a scan of unchanged files comes from the cache, and that the gate still fails on its findings.
func TestGosecScanCache(t *testing.T) {
	t.Parallel()
	const known = "Nothing has changed since the last scan"
	p := clone(t, "library")
	p.variables = []pipeline.Variable{{Key: "SLIPWAY_SCAN_CACHE", Value: "true"}}
	p.write("weak.go", weak)
	p.commit("Change")
	for _, want := range []struct {
		name   string
		change func()
		known  bool
	}{
		{"first", func() {}, false},
		{"unchanged", func() {}, true},
		{"a changed document", func() { p.write("README.md", "# Library\n") }, true},
		{"a new Go file", func() { p.write("strong.go", "package library\n") }, false},
		{"a changed go.mod", func() { p.write("go.mod", p.read("go.mod")+"\n// changed\n") }, false},
		{"code that does not compile", func() { p.write("broken.go", "package library\n\nfunc broken( {\n") }, false},
		{"code that still does not compile", func() {}, false},
	} {
		want.change()
		p.git("add", "--all")
		p.git("commit", "--quiet", "--allow-empty", "--message", want.name)
		o := p.run(nil, "gosec")
		if o.job("gosec").Status != runner.Failed || !strings.Contains(o.log("gosec"), "weak.go:8") && !strings.Contains(o.log("gosec"), "incomplete") {
			t.Errorf("%s: the gate is %s:\n%s", want.name, o.job("gosec").Status, tail(o.log("gosec")))
		}
		if got := strings.Contains(o.log("gosec-scan"), known); got != want.known {
			t.Errorf("%s: from the cache is %t, want %t", want.name, got, want.known)
		}
	}
}

func TestLintOnlyNew(t *testing.T) {
	t.Parallel()
	const careless = "package library\n\nimport \"os\"\n\n// Clean removes %s.\nfunc %[1]s() { os.Remove(\"%[1]s\") }\n"
	p := clone(t, "library")
	p.write("old.go", fmt.Sprintf(careless, "Old"))
	p.commit("Add an old finding")
	p.run(nil, "lint").red("lint", 1, "old.go:6", "errcheck", "How to fix", "How to accept")

	p.branch()
	p.write("slug.go", strings.Replace(p.read("slug.go"), "Slug returns", "Slug computes", 1))
	p.commit("Change a comment")
	p.run(nil, "lint").green("lint")

	p.write("new.go", fmt.Sprintf(careless, "New"))
	p.commit("Add a new finding")
	o := p.run(nil, "lint")
	o.red("lint", 1, "new.go:6")
	if strings.Contains(o.log("lint"), "old.go:6") {
		t.Error("the old finding is reported, too")
	}
	if report := o.artifact("lint", ".reports/lint/gl-code-quality-report.json"); !strings.Contains(report, `"path": "new.go"`) && !strings.Contains(report, `"path":"new.go"`) {
		t.Errorf("paths in the Code Quality report are not relative to the root: %s", report)
	}
}

func TestDrift(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	p.write("odd.go", "package library\n\nvar   Odd=1\n")
	p.write(".golangci.yml", "version: \"2\"\nformatters: {enable: [gofmt]}\n")
	p.write("go.mod", p.read("go.mod")+"\nrequire golang.org/x/text v0.41.0\n")
	p.commit("Drift")
	p.run(nil, "lint-drift").red("lint-drift", 1, "odd.go", "go mod tidy", "golangci-lint fmt", "How to fix")
}

func TestCoverageGate(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	p.branch()
	p.write("more.go", "package library\n\n// More is not tested.\nfunc More(n int) int {\n\tif n > 1 {\n\t\treturn n\n\t}\n\treturn 1\n}\n")
	p.commit("More")
	o := p.run(nil, "test")
	o.red("test", 1, "more.go:", "total:")
	if xml := o.artifact("test", ".reports/test/cobertura.xml"); !strings.Contains(xml, `filename="more.go"`) {
		t.Errorf("the Cobertura report does not contain more.go, relative to the root: %.300s", xml)
	}
	p.write("more_test.go", "package library\n\nimport \"testing\"\n\nfunc TestMore(t *testing.T) {\n\tif More(1)+More(2) != 3 {\n\t\tt.Fail()\n\t}\n}\n")
	p.commit("Test it")
	p.run(nil, "test").green("test")
}

// TestModuleWithoutTests runs the tests of a module that has none yet.
func TestModuleWithoutTests(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	p.git("rm", "--quiet", "*_test.go")
	p.commit("Remove the tests")
	for _, stage := range []string{"test", "test-sharded"} {
		p.write(".gitlab-ci.yml", with(stage, "race: false"))
		p.run(nil, "test").red("test", 1, "There is no test in ./...", "How to fix")
		p.write(".gitlab-ci.yml", with(stage, "race: false, coverage_minimum: 0"))
		p.run(nil, "test").green("test")
	}
}

func TestFlaky(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	marker := filepath.Join(t.TempDir(), "marker")
	p.write("flaky_test.go", fmt.Sprintf(`package library

import (
	"os"
	"testing"
)

func TestSometimes(t *testing.T) {
	if _, err := os.Stat(%q); err == nil {
		return
	}
	if err := os.WriteFile(%[1]q, nil, 0o600); err != nil {
		t.Error(err)
	}
	t.Fatal("fails the first time")
}
`, marker))
	p.commit("Add a test that passes the second time")
	o := p.run(nil, "test")
	o.green("test")
	if list := o.artifact("test", ".reports/test/flaky.md"); !strings.Contains(list, "TestSometimes") {
		t.Errorf("flaky.md does not name the test: %s", list)
	}
	if junit := o.artifact("test", ".reports/test/junit.xml"); strings.Count(junit, `name="TestSometimes"`) != 1 || strings.Contains(junit, "<failure") {
		t.Errorf("the JUnit report has the failure of a test that passed: %s", junit)
	}
	// A rerun must not lose the coverage of the first run.
	if log := o.log("test"); !strings.Contains(log, "total:\t(statements)\t100.0%") {
		t.Errorf("the rerun lost coverage:\n%s", tail(log))
	}

	p.write("flaky_test.go", "package library\n\nimport \"testing\"\n\nfunc TestNever(t *testing.T) { t.Fatal(\"red\") }\n")
	p.commit("Add a test that never passes")
	p.run(nil, "test").red("test", 1, "TestNever", "How to fix")
}

// database returns the URL of a vulnerability database with one entry: a function that the consumer "postgres" calls.
func database(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const entry = `{"schema_version":"1.3.1","id":"GO-2026-9999","modified":"2026-11-01T00:00:00Z","published":"2026-11-01T00:00:00Z",
"aliases":["CVE-2026-99999"],"summary":"Connect accepts any server","details":"A test entry.",
"affected":[{"package":{"name":"github.com/jackc/pgx/v5","ecosystem":"Go"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"5.99.0"}]}],
"ecosystem_specific":{"imports":[{"path":"github.com/jackc/pgx/v5","symbols":["Connect"]}]}}],
"database_specific":{"url":"https://pkg.go.dev/vuln/GO-2026-9999","review_status":"REVIEWED"}}`
	for name, text := range map[string]string{
		"index/db.json":        `{"modified":"2026-11-01T00:00:00Z"}`,
		"index/modules.json":   `[{"path":"github.com/jackc/pgx/v5","vulns":[{"id":"GO-2026-9999","modified":"2026-11-01T00:00:00Z","fixed":"5.99.0"}]}]`,
		"index/vulns.json":     `[{"id":"GO-2026-9999","modified":"2026-11-01T00:00:00Z","aliases":["CVE-2026-99999"]}]`,
		"ID/GO-2026-9999.json": entry,
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "file://" + dir
}

func TestVulnerabilitiesGate(t *testing.T) {
	t.Parallel()
	p := clone(t, "postgres")
	p.write(".gitlab-ci.yml", p.read(".gitlab-ci.yml")+"  - component: $CI_SERVER_FQDN/slipway-ci/slipway/vulnerabilities@v0.1.0\n")
	p.commit("Scan for vulnerabilities")
	p.variables = []pipeline.Variable{{Key: "SLIPWAY_VULNERABILITY_DATABASE", Value: database(t)}}
	o := p.run(nil, "vulnerabilities")
	o.green("vulnerabilities-scan")
	o.red("vulnerabilities", 1, "GO-2026-9999", "store.go:", "5.99.0", "How to accept")
	if report := o.artifact("vulnerabilities-scan", ".reports/vulnerabilities/gl-dependency-scanning-report.json"); !strings.Contains(report, "GO-2026-9999") {
		t.Errorf("the dependency scanning report does not contain the vulnerability: %.300s", report)
	}

	p.write(".gitlab/accepted-risks.yml", fmt.Sprintf("- rule: CVE-2026-99999\n  owner: \"@acme/store\"\n  reason: the server is trusted\n  expires: %s\n",
		time.Now().AddDate(0, 1, 0).Format(time.DateOnly)))
	p.commit("Accept the vulnerability")
	p.run(nil, "vulnerabilities").green("vulnerabilities")

	// An unavailable database proves nothing: the jobs end with a warning, neither green nor red.
	p.variables[0].Value = "http://127.0.0.1:1"
	o = p.run(nil, "vulnerabilities")
	for _, job := range []string{"vulnerabilities-scan", "vulnerabilities"} {
		if j := o.job(job); j.ExitCode != 3 || o.result.Status == "failed" {
			t.Errorf("%s ends with %d and the run is %s, want 3 and not failed:\n%s", job, j.ExitCode, o.result.Status, tail(o.log(job)))
		}
	}
}

func TestSecretsGate(t *testing.T) {
	t.Parallel()
	p := clone(t, "monorepo")
	p.branch()
	p.write("README.md", "No secrets.\n")
	p.commit("Add a document")
	p.run(nil, "secrets").green("secrets-scan", "secrets")

	// In two parts, so that this file is not a finding itself.
	key := "glpat-" + "x7Kq2mV9pRt4Zw8sBn3L"
	p.write("deploy.sh", "curl --header 'PRIVATE-TOKEN: "+key+"' https://gitlab.example.com\n")
	p.commit("Leak a token")
	p.write("deploy.sh", "curl https://gitlab.example.com\n")
	p.commit("Remove the token")
	o := p.run(nil, "secrets")
	o.green("secrets-scan")
	o.red("secrets", 1, "deploy.sh", "How to fix")
	if strings.Contains(o.log("secrets")+o.log("secrets-scan")+o.artifact("secrets-scan", ".reports/secrets/gitleaks.json"), key) {
		t.Error("the log or the report contains the secret")
	}
}

func TestLicensesGate(t *testing.T) {
	t.Parallel()
	p := clone(t, "postgres")
	p.write(".gitlab-ci.yml", p.read(".gitlab-ci.yml")+"  - component: $CI_SERVER_FQDN/slipway-ci/slipway/licenses@v0.1.0\n    inputs: {allowed: MIT}\n")
	p.commit("Allow MIT only")
	p.run(nil, "licenses").red("licenses", 1, "golang.org/x/text", "BSD-3-Clause", "How to accept")
	p.write(".gitlab-ci.yml", strings.Replace(p.read(".gitlab-ci.yml"), "allowed: MIT", "allowed: \"MIT,BSD-3-Clause\"", 1))
	p.commit("Allow BSD")
	p.run(nil, "licenses").green("licenses")
}

// TestSignatureGate verifies an image before and after it is signed.
func TestSignatureGate(t *testing.T) {
	t.Parallel()
	keys := outside.NewSigner(t)
	repository := registry(t) + "/acme/app"
	out, err := exec.CommandContext(t.Context(), filepath.Join(commands(t), "crane"), "append", "--oci-empty-base", "--new_tag", repository+":x", "--new_layer",
		layer(t, map[string]os.FileMode{"app": 0o755}, 10)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, digest, _ := strings.Cut(strings.TrimSpace(string(out)), "@")
	p := clone(t, "service")
	p.write(".gitlab-ci.yml", `include:
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/image@v0.1.0
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/sign@v0.1.0
    inputs: {signature: key, insecure_registry: true}
`)
	p.commit("Verify")
	p.alone = true
	p.variables = []pipeline.Variable{{Key: "IMAGE_REPOSITORY", Value: repository}, {Key: "IMAGE_DIGEST", Value: digest}}
	p.run(nil, "image-verify").red("image-verify", 1, "COSIGN_PUBLIC_KEY is not set", "How to fix")
	p.variables = append(p.variables, pipeline.Variable{Key: "COSIGN_PUBLIC_KEY", Value: filepath.Join(keys.Dir, "cosign.pub")})
	p.run(nil, "image-verify").red("image-verify", 1, "has no valid signature of this project", "How to fix")

	// The SBOM comes from syft; here it is a file of the project.
	p.write("gl-sbom.cdx.json", `{"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": []}`)
	p.commit("Add an SBOM")
	p.variables = append(p.variables, pipeline.Variable{Key: "COSIGN_PRIVATE_KEY", Value: filepath.Join(keys.Dir, "cosign.key")},
		pipeline.Variable{Key: "COSIGN_PASSWORD", Value: "secret", Masked: true}, pipeline.Variable{Key: "GIT_STRATEGY", Value: "clone"})
	p.run(nil, "image-sign").green("image-sign")
	p.run(nil, "image-verify").green("image-verify")
	keys.Cosign("verify-attestation", "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--allow-insecure-registry", "--type", "slsaprovenance1", repository+"@"+digest)
}
