package consumers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBuildsFolder runs jobs in a builds folder that is a link to another disk, as on some shell runners, and whose name has blanks and an apostrophe.
// The linter drops all findings of a merge request if it knows the files by another path than git.
func TestBuildsFolder(t *testing.T) {
	t.Parallel()
	disk, link := t.TempDir(), filepath.Join(t.TempDir(), "Ada's builds")
	if err := os.Symlink(disk, link); err != nil {
		t.Fatal(err)
	}
	p := clone(t, "library")
	p.cache = filepath.Join(link, "on a disk")
	p.write(".gitlab-ci.yml", p.read(".gitlab-ci.yml")+"  - component: $CI_SERVER_FQDN/slipway-ci/slipway/fuzz@v0.1.0\n    inputs: {seconds: 1}\n")
	p.commit("Fuzz")
	p.run(onSchedule, "fuzz", "test").green("fuzz", "test")
	p.branch()
	p.write("weak.go", strings.Replace(weak, "return fmt", "fmt.Sscan(text)\n\treturn fmt", 1))
	p.commit("Add findings")
	o := p.run(nil, "lint", "gosec")
	o.red("lint", 1, "weak.go:8", "errcheck")
	o.red("gosec", 1, "weak.go:9", "G401")
	if report := o.artifact("lint", ".reports/lint/gl-code-quality-report.json"); !strings.Contains(report, `"path": "weak.go"`) {
		t.Errorf("the Code Quality report does not name weak.go: %s", report)
	}

	p.write(".gitlab-ci.yml", with("test-sharded", "shards: 2, coverage_minimum: 0, changed_coverage_minimum: 0"))
	p.commit("Distribute the tests")
	p.run(nil, "test").green("test-shard 1/2", "test-shard 2/2", "test")
}
