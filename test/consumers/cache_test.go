package consumers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTestCache runs the tests in one fresh clone, and then in another: what has not changed comes from Go's cache, and so does what
// it reached.
func TestTestCache(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	p.cache = t.TempDir()
	p.write(".gitlab-ci.yml", `include:
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/test@v0.1.0
    inputs: {test_cache: true, coverage_minimum: 95}
`)
	p.write("testdata/title", "A title\n")
	// The constant makes this a test that no cache of this machine has yet.
	p.write("file_test.go", fmt.Sprintf(`package library

import (
	"os"
	"testing"
)

func TestFile(t *testing.T) {
	const now = %d
	if text, err := os.ReadFile("testdata/title"); err != nil || Slug(string(text)) == "" {
		t.Fatal(now, err)
	}
}
`, time.Now().UnixNano()))
	p.commit("Read a file")
	run := func(cached bool) {
		t.Helper()
		o := p.run(nil, "test")
		o.green("test")
		if log := o.log("test"); strings.Contains(log, "(cached)") != cached || !strings.Contains(log, "total:\t(statements)\t100.0%") {
			t.Errorf("cached should be %t, and everything be reached:\n%s", cached, tail(log))
		}
	}
	run(false)
	run(true)
	p.write("README.md", "Nothing that a test reads.\n")
	p.commit("Change what no test reads")
	run(true)
	p.write("testdata/title", "Other title\n")
	p.commit("Change what a test reads")
	run(false)
}

// TestCacheProg hands a command on that keeps the build cache.
func TestCacheProg(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	command, dir := filepath.Join(t.TempDir(), "cacheprog"), t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", command, "testdata/cacheprog/main.go").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p.write(".gitlab-ci.yml", fmt.Sprintf(`include:
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/test@v0.1.0
    inputs: {race: false, cacheprog: "%s %s"}
`, command, dir))
	p.commit("Keep the cache elsewhere")
	p.run(nil, "test").green("test")
	kept, err := filepath.Glob(filepath.Join(dir, "action-*"))
	if err != nil || len(kept) == 0 {
		t.Errorf("the command has kept nothing: %v", err)
	}
}
