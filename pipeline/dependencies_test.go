package pipeline_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Who imports the package compiles a YAML library, a comparison of versions, and nothing else from outside of this module.
func TestDependencies(t *testing.T) {
	t.Parallel()
	modules := goList(t, ".", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	slices.Sort(modules)
	want := []string{"gitlab.com/slipway-ci/slipway", "go.yaml.in/yaml/v4", "golang.org/x/mod"}
	if got := slices.Compact(modules); !slices.Equal(got, want) {
		t.Errorf("the package depends on the modules %q, want %q", got, want)
	}
}

// What the service, the platform and the tools require is in their own modules, and not among the modules of a program that imports
// only this package.
func TestModulesOfAProgram(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	const module = "gitlab.com/slipway-ci/slipway"
	for name, text := range map[string]string{
		"go.mod":  fmt.Sprintf("module example.com/program\n\ngo 1.27.0\n\nrequire %s v0.0.0\n\nreplace %s => %s\n", module, module, root),
		"go.sum":  string(sums),
		"main.go": "package main\n\nimport _ \"" + module + "/pipeline\"\n\nfunc main() {}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	modules := goList(t, dir, "-mod=mod", "-m", "-f", "{{.Path}}", "all")
	if !slices.Contains(modules, module) {
		t.Fatalf("go list returned %q", modules)
	}
	for _, m := range modules {
		for _, foreign := range []string{"pgx", "sqlite", "chromedp", "prometheus", "opentelemetry", "k8s.io"} {
			if strings.Contains(m, foreign) {
				t.Errorf("a program that imports the package has the module %s", m)
			}
		}
	}
	t.Logf("%d modules", len(modules))
}

func goList(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...)
	command.Dir = dir
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	return strings.Fields(string(out))
}
