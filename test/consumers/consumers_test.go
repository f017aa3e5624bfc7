// Package consumers holds projects that include the stages as users do, and tests that plan and run them.
//
// Each folder with a .gitlab-ci.yml is such a project. The tests resolve slipway-ci/slipway, which the projects include, to this
// checkout, so that they test the stages of the same commit.
package consumers

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/supervise"
	"gitlab.com/slipway-ci/slipway/service/pgtest"
)

// root is the checkout to which the project slipway-ci/slipway is resolved.
const root = "../.."

// TestMain also runs the supervisor of a job: the runner starts the test binary again with the argument "supervise".
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		os.Exit(supervise.Main(os.Args[2:]))
	}
	pgtest.Main(cleanup{m})
}

// cleanup removes the commands that the tests have built.
type cleanup struct{ *testing.M }

func (c cleanup) Run() int {
	code := c.M.Run()
	if build.dir != "" {
		_ = os.RemoveAll(build.dir)
	}
	return code
}

// checkout resolves the project slipway-ci/slipway to a folder, whatever the ref, and finds no other project.
type checkout struct{ dir string }

func (c checkout) Project(_ context.Context, path, ref string) (fs.FS, string, error) {
	if path != "slipway-ci/slipway" {
		return nil, "", fmt.Errorf("project %s at %s: %w", path, ref, fs.ErrNotExist)
	}
	return os.DirFS(c.dir), strings.Repeat("5", 40), nil
}

func (checkout) Tags(context.Context, string) ([]string, error) { return []string{"v0.1.0"}, nil }

func (checkout) Remote(_ context.Context, url string) ([]byte, error) {
	return nil, fmt.Errorf("%s: %w", url, fs.ErrNotExist)
}

func (checkout) Template(_ context.Context, name string) ([]byte, error) {
	return nil, fmt.Errorf("template %s: %w", name, fs.ErrNotExist)
}

// options returns what GitLab knows about a consumer.
func options(name string) pipeline.Options {
	return pipeline.Options{Path: "acme/" + name, Resolver: checkout{root}}
}

// consumers returns the names of the projects.
func consumers(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*/.gitlab-ci.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no consumers: %v", err)
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = filepath.Dir(f)
	}
	return names
}
