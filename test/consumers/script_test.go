package consumers

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"golang.org/x/mod/modfile"
)

// everything includes all stages with all that can be switched on, so that every script is there.
const everything = `
include:
  - local: /ci/workflow.yml
  - local: /templates/go-service.yml
    inputs: {image_vulnerabilities: true, sbom: true, signature: key, review: true, fuzz: true, benchmark: true}
  - local: /templates/go-service.yml
    inputs: {job_prefix: other-, builder: ko, test_shards: 3, deploy: false, release: false}
  - local: /ci/compatibility.yml
`

// loadEverything is the checkout with that configuration.
func loadEverything(t *testing.T) *pipeline.Project {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"ci", "templates"} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(root, folder))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitlab-ci.yml"), []byte(everything), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := pipeline.Load(os.DirFS(dir), pipeline.Options{Variables: []pipeline.Variable{{Key: "SONAR_TOKEN", Value: "x"}, {Key: "SONAR_HOST_URL", Value: "y"}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestScripts reads every script of every stage as a POSIX shell does, and has shellcheck look at it.
func TestScripts(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("shellcheck"); err != nil {
		t.Skip("shellcheck is not installed: apt-get install shellcheck")
	}
	p := loadEverything(t)
	seen := map[string]bool{}
	for _, e := range pipeline.StandardEvents() {
		plan, err := p.Plan(t.Context(), e)
		if err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		for _, j := range plan.Jobs {
			if seen[j.BaseName] {
				continue
			}
			seen[j.BaseName] = true
			t.Run(j.BaseName, func(t *testing.T) {
				t.Parallel()
				// before_script and script are one shell; the runner says `set -e` before them.
				script := "#!/bin/sh\nset -e\n" + strings.Join(slices.Concat(j.BeforeScript, j.Script), "\n") + "\n"
				path := filepath.Join(t.TempDir(), "script.sh")
				if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
					t.Fatal(err)
				}
				if out, err := exec.CommandContext(t.Context(), "sh", "-n", path).CombinedOutput(); err != nil {
					t.Errorf("sh -n: %v\n%s", err, out)
				}
				// SC2154: variables come from outside. SC2016: single quotes hold another program's text. SC2050 and SC2194: what was an
				// input is a constant by now.
				out, err := exec.CommandContext(t.Context(), "shellcheck", "--shell=sh", "--exclude=SC2154,SC2016,SC2050,SC2194", "--format=gcc", path).CombinedOutput()
				if err != nil {
					t.Errorf("shellcheck: %v\n%s", err, strings.ReplaceAll(string(out), path, j.BaseName))
				}
				for _, item := range slices.Concat(j.BeforeScript, j.Script) {
					if n := strings.Count(item, "\n"); n > 40 {
						t.Errorf("an item of the script has %d lines, more than a screen:\n%.200s", n, item)
					}
				}
			})
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d jobs were seen", len(seen))
	}
}

// TestVersions compares the versions that the stages name with those that tools/go.mod pins, so that a job does the same on
// GitLab and here.
func TestVersions(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(root, "tools", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	pinned := map[string]string{"go": strings.TrimPrefix(mod.Toolchain.Name, "go")}
	for _, tool := range mod.Tool {
		for _, r := range mod.Require {
			if strings.HasPrefix(tool.Path+"/", r.Mod.Path+"/") {
				pinned[r.Mod.Path] = r.Mod.Version
			}
		}
	}
	image := func(name string) *regexp.Regexp {
		return regexp.MustCompile(regexp.QuoteMeta(name) + `:v?(\d[0-9.]*)`)
	}
	install := regexp.MustCompile(`go install "?([a-z0-9./-]+?)(?:/cmd/[a-z-]+)?@(v[0-9A-Za-z.+-]+)`)
	files, err := filepath.Glob(filepath.Join(root, "ci", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for _, f := range append(files, filepath.Join(root, "templates", "go-service.yml")) {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range install.FindAllStringSubmatch(string(text), -1) {
			// gitleaks, syft, grype and cosign do not share a go.mod with the others: nothing here to compare them with.
			want, ok := pinned[m[1]]
			if !ok {
				if !slices.Contains([]string{"github.com/zricethezav/gitleaks/v8", "github.com/anchore/syft", "github.com/anchore/grype", "github.com/sigstore/cosign/v3"}, m[1]) {
					t.Errorf("%s installs %s, which tools/go.mod does not pin", f, m[1])
				}
				continue
			}
			if compared++; m[2] != want {
				t.Errorf("%s installs %s %s, tools/go.mod pins %s", f, m[1], m[2], want)
			}
		}
		for name, want := range map[string]string{
			"docker.io/library/golang":         pinned["go"],
			"docker.io/golangci/golangci-lint": strings.TrimPrefix(pinned["github.com/golangci/golangci-lint/v2"], "v"),
			"docker.io/securego/gosec":         strings.TrimPrefix(pinned["github.com/securego/gosec/v2"], "v"),
		} {
			for _, m := range image(name).FindAllStringSubmatch(string(text), -1) {
				if compared++; m[1] != want {
					t.Errorf("%s names %s:%s, tools/go.mod pins %s", f, name, m[1], want)
				}
			}
		}
	}
	if compared < 15 {
		t.Errorf("only %d versions were compared", compared)
	}
}
