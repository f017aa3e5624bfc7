package consumers

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// mirror resolves a project with another path to this checkout, and no other project.
type mirror struct {
	checkout
	path string
}

func (m mirror) Project(ctx context.Context, path, ref string) (fs.FS, string, error) {
	if path != m.path {
		return nil, "", fmt.Errorf("project %s at %s: %w", path, ref, fs.ErrNotExist)
	}
	return m.checkout.Project(ctx, "slipway-ci/slipway", ref)
}

// TestMirror includes the stages from a mirror with another host and path, with one group variable, as docs/mirror.md describes.
func TestMirror(t *testing.T) {
	t.Parallel()
	const path, tools = "platform/tooling/slipway", "registry.corp.example/platform/tooling/slipway/tools@sha256:0123456789012345678901234567890123456789012345678901234567890123"
	o := pipeline.Options{Path: "acme/service", Host: "gitlab.corp.example", Resolver: mirror{checkout{root}, path},
		Variables: []pipeline.Variable{{Key: "SLIPWAY_TOOLS_IMAGE", Value: tools}}}
	configuration := `include:
  - project: ` + path + `
    ref: v0.1.0
    file: /ci/workflow.yml
  - component: $CI_SERVER_FQDN/` + path + `/go-service@v0.1.0
    inputs: {app: service, sonar: false, sbom: true, signature: key, image_vulnerabilities: true, review: true, fuzz: true, benchmark: true}
`
	p, err := pipeline.Load(fstest.MapFS{".gitlab-ci.yml": {Data: []byte(configuration)}}, o)
	if err != nil {
		t.Fatal(err)
	}
	// No script or image may refer to the original project.
	original := regexp.MustCompile(`gitlab\.com|slipway-ci`)
	for _, e := range pipeline.StandardEvents() {
		plan, err := p.Plan(t.Context(), e)
		if err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		for _, j := range plan.Jobs {
			script := strings.Join(append(append([]string{}, j.BeforeScript...), j.Script...), "\n")
			if m := original.FindString(script); m != "" {
				t.Errorf("the script of %s contains %q", j.Name, m)
			}
			if j.Image != nil && original.MatchString(j.Image.Name) {
				t.Errorf("%s has the image %s", j.Name, j.Image.Name)
			}
		}
	}
}

// TestMirrorRuns runs a job of a mirror, which uses the mirror's image and links to the mirror's documentation.
func TestMirrorRuns(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	p.write("weak.go", weak)
	p.commit("Add a finding")
	p.variables = []pipeline.Variable{{Key: "SLIPWAY_TOOLS_IMAGE", Value: "registry.corp.example/tools:1"}}
	p.path = t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "-C", root, "build", "-ldflags", "-X gitlab.com/slipway-ci/slipway/internal/docs.base=https://gitlab.corp.example/platform/slipway/-/blob/main/docs",
		"-o", filepath.Join(p.path, "slipway"), "./cmd/slipway")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	// Links of the linter for pipelines follow it as well.
	rules, err := exec.CommandContext(t.Context(), filepath.Join(p.path, "slipway"), "lint", "--list-rules", "--format", "json").Output()
	if err != nil || !strings.Contains(string(rules), `"https://gitlab.corp.example/platform/slipway/-/blob/main/docs/lint.md#`) || strings.Contains(string(rules), "gitlab.com/slipway-ci") {
		t.Errorf("slipway lint --list-rules: %v\n%.500s", err, rules)
	}
	// The folder of tools comes first in PATH and has slipway, too: before_script puts the mirror's before it.
	p.write(".gitlab-ci.yml", p.read(".gitlab-ci.yml")+"\ngosec:\n  before_script: [\"export PATH="+p.path+":$PATH\"]\n")
	p.commit("Use the mirror's command")
	o := p.run(nil, "gosec")
	o.red("gosec", 1, "not in the image registry.corp.example/tools:1", "https://gitlab.corp.example/platform/slipway/-/blob/main/docs/gates.md")
	if strings.Contains(o.log("gosec"), "gitlab.com/slipway-ci") {
		t.Error(tail(o.log("gosec")))
	}
	if _, err := os.Stat(filepath.Join(root, "docs", "mirror.md")); err != nil {
		t.Error(err)
	}
}
