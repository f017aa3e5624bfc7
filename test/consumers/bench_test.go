package consumers

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// BenchmarkCaches measures the test jobs of the monorepo without a build cache, with the cache of the same commit, and with the cache of a
// commit that differs in one package.
//
//	go test ./test/consumers -run '^$' -bench Caches -benchtime 1x
func BenchmarkCaches(b *testing.B) {
	p := clone(b, "monorepo")
	commands(b) // not part of the measurement
	jobs := []string{"billing-test", "greeting-test"}
	caches := b.TempDir()
	for _, state := range []string{"cold", "warm", "one package changed"} {
		b.Run(state, func(b *testing.B) {
			for i := range b.N {
				switch {
				case state == "cold":
					p.env = []string{fmt.Sprintf("GOCACHE=%s/%d", caches, i)}
				case state != "warm":
					p.write("billing/main.go", strings.Replace(p.read("billing/main.go"), "func main()", fmt.Sprintf("// %d\nfunc main()", i), 1))
					p.commit("Change one package")
				}
				p.run(nil, jobs...).green(jobs...)
			}
		})
	}
}

// toolsOfJobs are the programs that check a project and build its image. The remaining CPU time of a job is the overhead of the stages.
var toolsOfJobs = []string{"golangci-lint", "gosec", "gotestsum", "govulncheck", "gitleaks", "ko", "buildctl-daemonless.sh"}

// mergeRequestLimit is the CPU time limit of a merge request's containers, without the tools above.
const mergeRequestLimit = 5 * time.Second

// BenchmarkMergeRequest measures the CPU time of a merge request's jobs in the tools image and, if the service has a Dockerfile, in BuildKit's, with
// the caches of an earlier pipeline, and prints a table of all jobs (`make bench-merge-request`).
func BenchmarkMergeRequest(b *testing.B) {
	image := toolsImage(b)
	host, _ := distribution(b)
	cache, err := runner.CacheDir("")
	if err != nil {
		b.Fatal(err)
	}
	base := emptyBase(b, image, host)
	for _, builder := range []string{"dockerfile", "ko"} {
		b.Run(builder, func(b *testing.B) {
			dir := filepath.Join(cache, "bench-merge-request", builder)
			p := cloneTo(b, "service", filepath.Join(dir, "service"))
			p.image, p.cache, p.timeout = image, filepath.Join(dir, "cache"), 20*time.Minute
			recorder := recorderOf(b, append([]string{"bash", "slipway", "go", "crane", "git"}, toolsOfJobs...)...)
			// Folders that come before those of the tools in PATH, in golang images and in Debian's, and are empty there.
			p.volumes = []string{recorder + ":/go/bin", recorder + ":/usr/local/sbin"}
			p.write(".gitlab-ci.yml", p.read(".gitlab-ci.yml")+"      builder: "+builder+"\n"+localSources)
			if err := os.CopyFS(filepath.Join(p.dir, ".vulndb"), os.DirFS(filepath.Join(root, "internal/gate/findings/testdata/vulndb"))); err != nil {
				b.Fatal(err)
			}
			p.variables = []pipeline.Variable{
				{Key: "CI_REGISTRY", Value: host}, {Key: "CI_REGISTRY_IMAGE", Value: host + "/acme/service"}, {Key: "BASE_IMAGE", Value: base},
			}
			if builder == "dockerfile" {
				p.privileged = true // for rootless BuildKit, see TestSupplyChain
				p.variables = append(p.variables, pipeline.Variable{Key: "SLIPWAY_BUILDER_IMAGE", Value: builderImage(b)}, pipeline.Variable{Key: "SLIPWAY_GO_IMAGE", Value: golangIn(b, host)})
			}
			p.commit("Build with " + builder)
			p.branch()
			measureChanges(b, p, filepath.Join(recorder, "times"))
		})
	}
}

// measureChanges runs the merge request's pipelines of a change for each round of a benchmark, after a first one that fills the caches.
func measureChanges(b *testing.B, p *project, times string) {
	b.Helper()
	change := func(i int) *outcome {
		p.write("main.go", p.read("main.go")+fmt.Sprintf("\n// Change %d.\n", i))
		p.commit("Change the service")
		return p.run(nil)
	}
	change(0)
	for i := range b.N {
		if err := os.RemoveAll(times); err != nil {
			b.Fatal(err)
		}
		newTimes(b, times)
		o := change(i + 1)
		for _, j := range o.result.Jobs {
			if j.Status != runner.Success && j.Status != runner.Manual {
				b.Errorf("%s is %s:\n%s", j.Name, j.Status, tail(o.log(j.Name)))
			}
		}
		table, all, own := tableOfTimes(b, times)
		// A benchmark's log is truncated after ten lines.
		fmt.Fprintf(os.Stderr, "\nCPU time in seconds:\n%s", table)
		b.ReportMetric(all.Seconds(), "cpu-s/op")
		b.ReportMetric(own.Seconds(), "own-cpu-s/op")
		if own > mergeRequestLimit {
			b.Errorf("the jobs took %v of CPU time without %s, want at most %v", own, strings.Join(toolsOfJobs, ", "), mergeRequestLimit)
		}
	}
}

// recorderOf returns a folder of programs that record the CPU time of the programs with the same names. It must come first in a job's PATH.
func recorderOf(b *testing.B, programs ...string) string {
	b.Helper()
	dir := b.TempDir()
	script, err := os.ReadFile("testdata/cputime/record")
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range programs {
		outside.WriteProgram(b, filepath.Join(dir, name), string(script))
	}
	newTimes(b, filepath.Join(dir, "times"))
	return dir
}

// newTimes makes the folder that the recorder writes to, whoever runs a job.
func newTimes(b *testing.B, dir string) {
	b.Helper()
	if err := os.Mkdir(dir, 0o750); err != nil {
		b.Fatal(err)
	}
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // the builder's image has a user of its own
		b.Fatal(err)
	}
}

// tableOfTimes returns a table of the recorded times with one line for each job, and the sums of all jobs with and without the tools.
func tableOfTimes(b *testing.B, dir string) (table string, all, own time.Duration) {
	b.Helper()
	jobs, err := os.ReadDir(dir)
	if err != nil || len(jobs) == 0 {
		b.Fatalf("no job recorded its time: %v", err)
	}
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "job\tall\twithout tools\tby program\t")
	row := func(name string, all, own time.Duration, programs string) {
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%s\t\n", name, all.Seconds(), own.Seconds(), programs)
	}
	for _, job := range jobs {
		times := map[string]time.Duration{}
		lines, err := os.ReadFile(filepath.Join(dir, job.Name()))
		if err != nil {
			b.Fatal(err)
		}
		for line := range strings.Lines(string(lines)) {
			var name string
			var user, system float64
			if _, err := fmt.Sscan(line, &name, &user, &system); err != nil {
				b.Fatalf("%s: %q: %v", job.Name(), line, err)
			}
			times[name] += time.Duration((user + system) * float64(time.Second))
		}
		jobAll := times["bash"]
		jobOwn := jobAll
		delete(times, "bash")
		var programs []string
		for _, name := range slices.Sorted(maps.Keys(times)) {
			if slices.Contains(toolsOfJobs, name) {
				jobOwn -= times[name]
			}
			programs = append(programs, fmt.Sprintf("%s %.2f", name, times[name].Seconds()))
		}
		row(job.Name(), jobAll, jobOwn, strings.Join(programs, ", "))
		all, own = all+jobAll, own+jobOwn
	}
	row("all", all, own, "")
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	return text.String(), all, own
}
