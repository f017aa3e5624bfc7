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

// A project is a consumer in a git repository of its own, to be changed and run.
type project struct {
	t    testing.TB
	name string
	dir  string
	// base is the commit that a merge request starts from; empty without one.
	base string
	// variables are the project's CI/CD variables.
	variables []pipeline.Variable
	// path is a folder that comes before everything else in the jobs' PATH.
	path string
	// env has variables of the caller's environment that the jobs see beside or instead of the test's own.
	env []string
	// cache is the folder with the caches and checkouts of the project's runs; empty is a folder of its own.
	cache string
	// alone runs jobs without those that they need; what these would pass on is given as variables.
	alone bool
	// image is the tools image in which the jobs run, with no tool of this machine in reach; empty runs them on this machine.
	image string
	// limit is how long a run may take: one that hangs shall not take the tests with it.
	limit time.Duration
	// privileged gives the containers full access to the machine; reuse takes the results of jobs that are not named from earlier runs.
	privileged, reuse bool
	// volumes are mounted in the containers, in the form of docker's --volume.
	volumes []string
}

// clone puts a consumer under version control, somewhere else.
func clone(t testing.TB, name string) *project {
	t.Helper()
	return cloneTo(t, name, filepath.Join(t.TempDir(), name))
}

// cloneTo is clone for a folder that the caller chooses; what was there is removed.
func cloneTo(t testing.TB, name, dir string) *project {
	t.Helper()
	if testing.Short() {
		t.Skip("runs jobs for minutes")
	}
	p := &project{t: t, name: name, dir: dir, limit: 8 * time.Minute}
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

// write makes or replaces a file.
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

// branch begins a merge request: what is committed from now on is its change.
func (p *project) branch() {
	p.t.Helper()
	p.base = p.git("rev-parse", "HEAD")
	p.git("switch", "--quiet", "--create", "feature")
}

// event is a push to the default branch, or the merge request that branch has begun.
func (p *project) event() pipeline.Event {
	e := pipeline.Event{Source: pipeline.Push, Branch: "main", RefProtected: true, SHA: p.git("rev-parse", "HEAD"), Predefined: map[string]string{}}
	if p.base != "" {
		e.Source, e.Branch, e.RefProtected = pipeline.MergeRequest, "feature", false
		e.MergeRequestInfo = &pipeline.MergeRequestInfo{IID: 7, SourceBranch: "feature", TargetBranch: "main", Title: "Change"}
		e.Predefined["CI_MERGE_REQUEST_DIFF_BASE_SHA"] = p.base
	}
	return e
}

// An outcome is how a run ended.
type outcome struct {
	t      testing.TB
	result runner.Result
	plan   *pipeline.Plan
}

// run plans the project's pipeline for its event, with changes to it, and runs the named jobs and what they need.
func (p *project) run(change func(*pipeline.Event), jobs ...string) *outcome {
	p.t.Helper()
	return p.runUntil(p.t.Context(), change, jobs...)
}

// runUntil is run with a context that may end before the jobs do, which are killed then.
func (p *project) runUntil(ctx context.Context, change func(*pipeline.Event), jobs ...string) *outcome {
	p.t.Helper()
	o := options(p.name)
	o.Variables = p.variables
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
		// Jobs of earlier stages are tested by themselves.
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
	// Whoever names a manual job means it.
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
	ctx, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	// What golangci-lint knows of the standard library is of use to all projects.
	environment = append(environment, "GOLANGCI_LINT_CACHE="+lintCache(p.t))
	options := runner.Options{
		Dir: p.dir, CacheDir: p.caches(), Jobs: 2, Env: environment, PassEnv: []string{"GOLANGCI_LINT_CACHE"}, Supervisor: []string{os.Args[0], "supervise"}, Keep: 3, Approve: approve, Deploy: true,
	}
	if p.reuse {
		options.Named, options.Reuse = jobs, true
	}
	if p.image == "" {
		// The tests' machine has no registry with the stages' images.
		options.Executor, options.NoSandbox, options.Tools = "shell", true, commands(p.t)
	} else {
		// The network of this machine: registries on loopback are reached, and rootless containers need no network of their own.
		options.Executor, options.Containers = "podman", runner.ContainerOptions{PullPolicy: "never", Network: "host", Privileged: p.privileged, Volumes: p.volumes}
	}
	result, err := runner.Run(ctx, plan, options)
	if err != nil {
		p.t.Fatal(err)
	}
	return &outcome{p.t, result, plan}
}

// retry runs jobs of the latest run again, with other inputs.
func (p *project) retry(inputs map[string]string, jobs ...string) *outcome {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), p.limit)
	defer cancel()
	result, err := runner.Retry(ctx, 0, jobs, runner.Options{
		Dir: p.dir, CacheDir: p.caches(), Env: os.Environ(), Supervisor: []string{os.Args[0], "supervise"}, Inputs: inputs, Deploy: true,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return &outcome{p.t, result, nil}
}

// lintCache is where golangci-lint keeps its results from test to test.
func lintCache(t testing.TB) string {
	t.Helper()
	dir, err := runner.CacheDir("")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "test-lint")
}

// caches is the folder that the runs of the project share.
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

// log is what a job has written.
func (o *outcome) log(name string) string {
	o.t.Helper()
	files, err := filepath.Glob(filepath.Join(o.result.Dir, "jobs", "*", "log"))
	if err != nil {
		o.t.Fatal(err)
	}
	// A job's folder is its name as CI_JOB_NAME_SLUG has it.
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

// green checks that jobs have passed.
func (o *outcome) green(jobs ...string) {
	o.t.Helper()
	for _, name := range jobs {
		if j := o.job(name); j.Status != runner.Success {
			o.t.Errorf("%s is %s, want success; its log ends:\n%s", name, j.Status, tail(o.log(name)))
		}
	}
}

// red checks that a job has failed with an exit code, and that its log says all of these.
func (o *outcome) red(name string, code int, texts ...string) {
	o.t.Helper()
	j, log := o.job(name), o.log(name)
	if j.Status != runner.Failed || j.ExitCode != code {
		o.t.Errorf("%s is %s with exit code %d, want failed with %d; its log ends:\n%s", name, j.Status, j.ExitCode, code, tail(log))
	}
	for _, text := range texts {
		if !strings.Contains(log, text) {
			o.t.Errorf("the log of %s does not say %q; it ends:\n%s", name, text, tail(log))
		}
	}
}

// artifact reads a file that a job has left.
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

// commands is a folder with slipway, as it is in this checkout, and the pinned tools.
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

// buildCommands takes the tools from where `slipway run` keeps them, so that they are built once for both.
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

// TestRun really runs what consumers have, as far as this machine can: images and deployments are tested where there is a platform.
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

// read gives a file of the project.
func (p *project) read(name string) string {
	p.t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, name))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(text)
}

// TestPostgres runs the tests of a consumer against a real server. On GitLab it is a service beside the job.
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
