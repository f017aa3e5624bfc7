package consumers

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestTestCache runs the tests in one fresh clone and then in others: results and coverage of unchanged packages come from Go's cache.
func TestTestCache(t *testing.T) {
	t.Parallel()
	p := clone(t, "library")
	p.cache = t.TempDir()
	p.write(".gitlab-ci.yml", `include:
  - component: $CI_SERVER_FQDN/slipway-ci/slipway/test@v0.1.0
    inputs: {test_cache: true, coverage_minimum: 95}
`)
	p.write("testdata/title", "A title\n")
	// The constant makes the test unique, so that no cache of this machine has its result.
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
			t.Errorf("want cached results: %t, and a coverage of 100 %%:\n%s", cached, tail(log))
		}
		reports, err := filepath.Glob(filepath.Join(o.result.Dir, "jobs", "test", "artifacts", ".reports", "test", "*.out"))
		if err != nil || len(reports) != 1 || filepath.Base(reports[0]) != "coverage.out" {
			t.Errorf("profiles among the artifacts: %v, want the merged one alone", reports)
		}
	}
	run(false)
	run(true)
	p.write("README.md", "No test reads this.\n")
	p.commit("Change a file that no test reads")
	run(true)
	p.write("testdata/title", "Other title\n")
	p.commit("Change a file that a test reads")
	run(false)
}

// TestCacheProg checks that the test job uses a GOCACHEPROG.
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
	stored, err := filepath.Glob(filepath.Join(dir, "action-*"))
	if err != nil || len(stored) == 0 {
		t.Errorf("the command has stored nothing: %v", err)
	}
}
