package consumers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/tools"
	"gitlab.com/slipway-ci/slipway/service/pgtest"
)

// A project is a copy of a consumer in its own git repository, which a test changes and runs.
type project struct {
	t    testing.TB
	name string
	dir  string
	// instance is the URL of GitLab; if empty, an instance of which nothing is reachable.
	instance string
	// base is the commit from which the merge request starts; empty if there is no merge request.
	base string
	// variables are the project's CI/CD variables.
	variables []pipeline.Variable
	// path is a folder that comes first in the jobs' PATH.
	path string
	// env adds variables to the environment of the jobs, or overrides those of the test.
	env []string
	// cache is the folder with the caches and checkouts of the project's runs; if empty, a temporary one is used.
	cache string
	// alone runs the named jobs without the jobs that they need; the test sets the variables that those would pass on.
	alone bool
	// image is the tools image in which the jobs run, without access to the tools of this machine; if empty, they run on this machine.
	image string
	// timeout limits a run, so that one that hangs does not block the other tests.
	timeout time.Duration
	// privileged runs privileged containers; reuse takes the results of jobs that are not named from earlier runs.
	privileged, reuse bool
	// volumes are mounted in the containers, in the format of docker run --volume.
	volumes []string
}

// clone copies a consumer to a temporary folder and creates a git repository there.
func clone(t testing.TB, name string) *project {
	t.Helper()
	return cloneTo(t, name, filepath.Join(t.TempDir(), name))
}

// cloneTo is like clone for a given folder, whose earlier content it removes.
func cloneTo(t testing.TB, name, dir string) *project {
	t.Helper()
	if testing.Short() {
		t.Skip("runs jobs for minutes")
	}
	p := &project{t: t, name: name, dir: dir, timeout: 8 * time.Minute}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(p.dir, os.DirFS(name)); err != nil {
		t.Fatal(err)
	}
	p.git("init", "--quiet", "--initial-branch", "main")
	p.commit("Begin")
	return p
}

func (p *project) git(args ...string) string {
	p.t.Helper()
	command := exec.CommandContext(p.t.Context(), "git", append([]string{"-C", p.dir, "-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...)
	out, err := command.CombinedOutput()
	if err != nil {
		p.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func (p *project) commit(message string) {
	p.t.Helper()
	p.git("add", "--all")
	p.git("commit", "--quiet", "--message", message)
}

// write creates or replaces a file.
func (p *project) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// branch starts a merge request: later commits belong to it.
func (p *project) branch() {
	p.t.Helper()
	p.base = p.git("rev-parse", "HEAD")
	p.git("switch", "--quiet", "--create", "feature")
}

// event returns a push to the default branch, or the event of the merge request that branch has started.
func (p *project) event() pipeline.Event {
	e := pipeline.Event{Source: pipeline.Push, Branch: "main", RefProtected: true, SHA: p.git("rev-parse", "HEAD"), Predefined: map[string]string{}}
	if p.base != "" {
		e.Source, e.Branch, e.RefProtected = pipeline.MergeRequest, "feature", false
		e.MergeRequestInfo = &pipeline.MergeRequestInfo{IID: 7, SourceBranch: "feature", TargetBranch: "main", Title: "Change"}
		e.Predefined["CI_MERGE_REQUEST_DIFF_BASE_SHA"] = p.base
	}
	return e
}

// An outcome is the result of a run.
type outcome struct {
	t      testing.TB
	result runner.Result
	plan   *pipeline.Plan
}

// run plans the pipeline for the project's event, which change may modify, and runs the named jobs and those that they need.
func (p *project) run(change func(*pipeline.Event), jobs ...string) *outcome {
	p.t.Helper()
	return p.runUntil(p.t.Context(), change, jobs...)
}

// runUntil is like run with a context; jobs that still run when it ends are killed.
func (p *project) runUntil(ctx context.Context, change func(*pipeline.Event), jobs ...string) *outcome {
	p.t.Helper()
	o := options(p.name)
	o.Variables = p.variables
	o.Protocol, o.Host, _ = strings.Cut(p.instance, "://")
	if p.image != "" {
		o.Variables = append(slices.Clone(p.variables), pipeline.Variable{Key: "SLIPWAY_TOOLS_IMAGE", Value: p.image})
	}
	loaded, err := pipeline.Load(os.DirFS(p.dir), o)
	if err != nil {
		p.t.Fatal(err)
	}
	event := p.event()
	if change != nil {
		change(&event)
	}
	plan, err := loaded.Plan(p.t.Context(), event)
	if err != nil {
		p.t.Fatal(err)
	}
	if len(jobs) > 0 {
		// Jobs of earlier stages have tests of their own.
		for _, job := range plan.Jobs {
			if job.Needs == nil {
				job.Needs = []pipeline.Need{}
				for _, name := range job.Dependencies {
					job.Needs = append(job.Needs, pipeline.Need{Job: name, Artifacts: true, Optional: true})
				}
			}
		}
	}
	if p.alone {
		for _, job := range jobs {
			j := plan.Job(job)
			j.Needs = slices.DeleteFunc(append([]pipeline.Need{}, j.Needs...), func(n pipeline.Need) bool { return !slices.Contains(jobs, n.Job) })
		}
	}
	if plan, err = runner.Select(plan, jobs); err != nil {
		p.t.Fatal(err)
	}
	// A manual job that a test names is started.
	var approve []string
	for _, job := range jobs {
		if j := plan.Job(job); j != nil && j.When == pipeline.Manual {
			approve = append(approve, job)
		}
	}
	environment := append(os.Environ(), p.env...)
	if p.path != "" {
		environment = append(environment, "PATH="+p.path+":"+os.Getenv("PATH"))
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	// All projects share golangci-lint's analysis of the standard library.
	environment = append(environment, "GOLANGCI_LINT_CACHE="+lintCache(p.t))
	options := runner.Options{
		Dir: p.dir, CacheDir: p.caches(), Jobs: 2, Env: environment, PassEnv: []string{"GOLANGCI_LINT_CACHE"}, Supervisor: []string{os.Args[0], "supervise"}, Keep: 3, Approve: approve, Deploy: true,
	}
	if p.reuse {
		options.Named, options.Reuse = jobs, true
	}
	if p.image == "" {
		// The images of the stages are not available to the tests.
		options.Executor, options.NoSandbox, options.Tools = "shell", true, commands(p.t)
	} else {
		// With the machine's network, jobs reach registries on loopback, and rootless containers need no network setup.
		options.Executor, options.Containers = "podman", runner.ContainerOptions{PullPolicy: "never", Network: "host", Privileged: p.privileged, Volumes: p.volumes}
	}
	result, err := runner.Run(ctx, plan, options)
	if err != nil {
		p.t.Fatal(err)
	}
	return &outcome{p.t, result, plan}
}

// retry runs jobs of the latest run again, with different inputs.
func (p *project) retry(inputs map[string]string, jobs ...string) *outcome {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), p.timeout)
	defer cancel()
	result, err := runner.Retry(ctx, 0, jobs, runner.Options{
		Dir: p.dir, CacheDir: p.caches(), Env: os.Environ(), Supervisor: []string{os.Args[0], "supervise"}, Inputs: inputs, Deploy: true,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return &outcome{p.t, result, nil}
}

// lintCache returns the cache folder of golangci-lint that all tests share.
func lintCache(t testing.TB) string {
	t.Helper()
	dir, err := runner.CacheDir("")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "test-lint")
}

// caches returns the cache folder that all runs of the project share.
func (p *project) caches() string {
	if p.cache == "" {
		p.cache = filepath.Join(p.t.TempDir(), "cache")
	}
	return p.cache
}

func (o *outcome) job(name string) runner.JobState {
	o.t.Helper()
	for _, j := range o.result.Jobs {
		if j.Name == name {
			return j
		}
	}
	o.t.Fatalf("no job %s in the run", name)
	return runner.JobState{}
}

var notSlug = regexp.MustCompile(`[^a-z0-9]`)

// log returns the log of a job.
func (o *outcome) log(name string) string {
	o.t.Helper()
	files, err := filepath.Glob(filepath.Join(o.result.Dir, "jobs", "*", "log"))
	if err != nil {
		o.t.Fatal(err)
	}
	// The folder of a job is named like CI_JOB_NAME_SLUG.
	slug := strings.Trim(notSlug.ReplaceAllString(strings.ToLower(name), "-"), "-")
	for _, f := range files {
		if filepath.Base(filepath.Dir(f)) == slug {
			text, err := os.ReadFile(f)
			if err != nil {
				o.t.Fatal(err)
			}
			return string(text)
		}
	}
	o.t.Fatalf("no log of %s among %v", name, files)
	return ""
}

// green checks that the jobs succeeded.
func (o *outcome) green(jobs ...string) {
	o.t.Helper()
	for _, name := range jobs {
		if j := o.job(name); j.Status != runner.Success {
			o.t.Errorf("%s is %s, want success; its log ends:\n%s", name, j.Status, tail(o.log(name)))
		}
	}
}

// red checks that a job failed with the exit code, and that its log contains all of the texts.
func (o *outcome) red(name string, code int, texts ...string) {
	o.t.Helper()
	j, log := o.job(name), o.log(name)
	if j.Status != runner.Failed || j.ExitCode != code {
		o.t.Errorf("%s is %s with exit code %d, want failed with %d; its log ends:\n%s", name, j.Status, j.ExitCode, code, tail(log))
	}
	for _, text := range texts {
		if !strings.Contains(log, text) {
			o.t.Errorf("the log of %s does not contain %q; it ends:\n%s", name, text, tail(log))
		}
	}
}

// artifact returns the content of a file among a job's artifacts.
func (o *outcome) artifact(job, name string) string {
	o.t.Helper()
	text, err := os.ReadFile(filepath.Join(o.result.Dir, "jobs", job, "artifacts", name))
	if err != nil {
		o.t.Error(err)
	}
	return string(text)
}

func tail(log string) string {
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return "    " + strings.Join(lines[max(0, len(lines)-25):], "\n    ")
}

// commands returns a folder with slipway, built from this checkout, and the pinned tools.
func commands(t testing.TB) string {
	t.Helper()
	build.Do(func() { build.dir, build.err = buildCommands(t.Context()) })
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.dir
}

var build struct {
	sync.Once
	dir string
	err error
}

// buildCommands takes the tools from the cache of `slipway run`, so that they are built only once.
func buildCommands(ctx context.Context) (string, error) {
	cache, err := runner.CacheDir("")
	if err != nil {
		return "", err
	}
	pinned, err := tools.Build(ctx, filepath.Join(root, "tools"), tools.Options{CacheDir: cache, Env: os.Environ(), Progress: func(s string) { fmt.Fprintln(os.Stderr, s) }})
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "consumers")
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(pinned)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if err := os.Symlink(filepath.Join(pinned, e.Name()), filepath.Join(dir, e.Name())); err != nil {
			return "", err
		}
	}
	for _, program := range []struct{ module, path string }{{root, "./cmd/slipway"}, {filepath.Join(root, "tools", "acceptance"), "."}} {
		command := exec.CommandContext(ctx, "go", "-C", program.module, "build", "-o", dir, program.path)
		command.Stderr = os.Stderr
		if err := command.Run(); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// TestRun runs the checks and tests of the consumers. Images and deployments are covered by other tests.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		jobs []string
	}{
		{"library", []string{"lint", "lint-drift", "gosec-scan", "gosec", "test"}},
		{"service", []string{"lint", "lint-drift", "gosec-scan", "gosec", "licenses", "test"}},
		{"include-project", []string{"lint-drift", "gosec", "licenses", "test"}},
		{"monorepo", []string{"billing-lint", "billing-lint-drift", "billing-gosec", "billing-test", "catalog-test", "greeting-gosec", "greeting-test"}},
		{"overrides", []string{"lint-drift", "gosec", "test", "licence-header"}},
		{"fork", []string{"licenses"}},
		{"cgo", []string{"lint", "gosec", "licenses", "test"}},
		{"generated", []string{"lint", "lint-drift", "gosec", "licenses", "test"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			clone(t, c.name).run(nil, c.jobs...).green(c.jobs...)
		})
	}
}

// read returns the content of a file.
func (p *project) read(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// TestPostgres runs the tests of a consumer against a real server, which on GitLab is a service of the job.
func TestPostgres(t *testing.T) {
	t.Parallel()
	p := clone(t, "postgres")
	p.variables = []pipeline.Variable{{Key: "DATABASE_URL", Value: pgtest.Database(t)}}
	o := p.run(nil, "lint", "test")
	o.green("lint", "test")
	if service := o.plan.Job("test").Services; len(service) != 1 || service[0].Alias != "postgres" {
		t.Errorf("services are %+v", service)
	}
}
