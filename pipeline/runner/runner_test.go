package runner

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/supervise"
)

// TestMain makes the test binary the supervisor of the jobs that it runs.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "supervise" {
		os.Exit(supervise.Main(os.Args[2:]))
	}
	if os.Getenv("SLIPWAY_TEST_RUNNER") != "" {
		os.Exit(standInRunner(os.Args[1:]))
	}
	if len(os.Args) > 5 && os.Args[1] == "run-and-be-killed" {
		_, err := Run(context.Background(), planOf(job("j", os.Args[5])), Options{
			Dir: os.Args[2], CacheDir: os.Args[3], TempDir: os.Args[4], Env: os.Environ(), Supervisor: []string{os.Args[0], "supervise"},
		})
		fmt.Println(err)
		os.Exit(1)
	}
	// The tests wait for processes more than they compute. A number on the command line is kept.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if supervisorFolder != "" {
			_ = os.RemoveAll(supervisorFolder)
		}
		os.Exit(code)
	}))
}

// supervisor is the command line of the jobs' supervisor. Each job starts one, and the binary of the tests, large and maybe with the race
// detector, takes several times as long to start as one that is built for it; without sources to build, it does as well.
var supervisor = sync.OnceValues(func() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if supervisorFolder, err = os.MkdirTemp("", "supervisor-"); err != nil {
		return nil, err
	}
	path := filepath.Join(supervisorFolder, "supervisor")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "./testdata/supervisor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if build.Run() != nil {
		return []string{self, "supervise"}, nil
	}
	return []string{path}, nil
})

var supervisorFolder string

// A project is a git repository in a temporary folder, and what its runs have told.
type project struct {
	t       *testing.T
	dir     string
	options Options

	mu      sync.Mutex
	updates []Update
}

// writeProgram writes a program that can be executed at once, while parallel tests start processes.
func writeProgram(t *testing.T, path, content string) {
	t.Helper()
	syscall.ForkLock.RLock() // a process that inherits the open file would let its execution fail with ETXTBSY
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
}

func newProject(t *testing.T, files map[string]string) *project {
	t.Helper()
	supervisor, err := supervisor()
	if err != nil {
		t.Fatal(err)
	}
	p := &project{t: t, dir: t.TempDir()}
	cache, temp := t.TempDir(), t.TempDir()
	p.options = Options{
		Dir: p.dir, CacheDir: cache, TempDir: temp, Env: os.Environ(), Supervisor: supervisor,
		Jobs: 4, Grace: 2 * time.Second, Observe: p.observe,
	}
	t.Cleanup(func() {
		// What a job leaves behind would be found here.
		for pattern, what := range map[string]string{
			filepath.Join(temp, "*"):                             "temporary folders",
			filepath.Join(cache, "projects", "*", "builds", "*"): "checkouts",
		} {
			if left, _ := filepath.Glob(pattern); len(left) > 0 {
				t.Errorf("%s were left behind: %v", what, left)
			}
		}
		_ = filetree.Remove(cache)
	})
	p.git("init", "--quiet", "--initial-branch=main")
	p.write("README", "a project\n")
	for name, content := range files {
		p.write(name, content)
	}
	p.git("add", ".")
	p.git("commit", "--quiet", "-m", "first")
	return p
}

func (p *project) observe(u Update) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.updates = append(p.updates, u)
}

// said tells whether an update of a kind contains a text.
func (p *project) said(kind Kind, text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, u := range p.updates {
		if u.Kind == kind && (strings.Contains(u.Message, text) || u.Job != nil && u.Job.Name == text) {
			return true
		}
	}
	return false
}

func (p *project) write(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) git(args ...string) string {
	p.t.Helper()
	command := exec.Command("git", append([]string{"-c", "user.name=T", "-c", "user.email=t@example.com"}, args...)...)
	command.Dir = p.dir
	out, err := command.CombinedOutput()
	if err != nil {
		p.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// run runs a plan made of jobs and expects no error of the machine.
func (p *project) run(jobs ...*pipeline.Job) Result {
	p.t.Helper()
	return p.runPlan(planOf(jobs...))
}

func (p *project) runPlan(plan *pipeline.Plan) Result {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	result, err := Run(ctx, plan, p.options)
	if err != nil {
		p.t.Fatal(err)
	}
	if p.t.Failed() {
		p.t.Log(p.logs(result))
	}
	return result
}

// log is the log of a job of a run.
func (p *project) log(r Result, name string) string {
	p.t.Helper()
	content, err := os.ReadFile(filepath.Join(r.Dir, jobsFolder, state(r, name).Slug, logFile))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(content)
}

func (p *project) logs(r Result) string {
	var b strings.Builder
	for _, j := range r.Jobs {
		content, _ := os.ReadFile(filepath.Join(r.Dir, jobsFolder, j.Slug, logFile))
		fmt.Fprintf(&b, "--- %s: %s %s\n%s", j.Name, j.Status, j.Error, content)
	}
	return b.String()
}

// want checks the states of a run's jobs, given as "name: status".
func (p *project) want(r Result, status RunStatus, jobs ...string) {
	p.t.Helper()
	got := make([]string, len(r.Jobs))
	for i, j := range r.Jobs {
		got[i] = fmt.Sprintf("%s: %s", j.Name, j.Status)
		if j.Allowed {
			got[i] += " (allowed)"
		}
	}
	if r.Status != status || strings.Join(got, "\n") != strings.Join(jobs, "\n") {
		p.t.Errorf("got %s with\n  %s\nwant %s with\n  %s\n%s", r.Status, strings.Join(got, "\n  "), status, strings.Join(jobs, "\n  "), p.logs(r))
	}
}

// wantLog checks that a job's log has lines in this order, and none of those that begin with "!".
func (p *project) wantLog(r Result, job string, lines ...string) {
	p.t.Helper()
	log := p.log(r, job)
	rest := log
	for _, line := range lines {
		if unwanted, not := strings.CutPrefix(line, "!"); not {
			if strings.Contains(log, unwanted) {
				p.t.Errorf("the log of %s contains %q:\n%s", job, unwanted, log)
			}
			continue
		}
		_, after, found := strings.Cut(rest, line+"\n")
		if !found {
			p.t.Errorf("the log of %s has no line %q (in this order):\n%s", job, line, log)
			return
		}
		rest = after
	}
}

func state(r Result, name string) JobState {
	for _, j := range r.Jobs {
		if j.Name == name {
			return j
		}
	}
	return JobState{}
}

// planOf makes the plan of a push to main, with stages in the order in which the jobs name them.
func planOf(jobs ...*pipeline.Job) *pipeline.Plan {
	plan := &pipeline.Plan{
		Event: pipeline.Event{Source: pipeline.Push, Branch: "main"}, Created: true, Jobs: jobs,
		Predefined: []pipeline.Variable{{Key: "CI", Value: "true"}, {Key: "CI_PROJECT_PATH", Value: "acme/app"}},
	}
	seen := map[string]bool{}
	for _, j := range jobs {
		if !seen[j.Stage] {
			seen[j.Stage] = true
			plan.Stages = append(plan.Stages, j.Stage)
		}
	}
	return plan
}

// job makes a job of the stage "test" with a script; options change it.
func job(name, script string, options ...func(*pipeline.Job)) *pipeline.Job {
	j := &pipeline.Job{Name: name, BaseName: name, Stage: "test", When: pipeline.OnSuccess, Script: []string{script}}
	for _, o := range options {
		o(j)
	}
	return j
}

func stage(name string) func(*pipeline.Job) { return func(j *pipeline.Job) { j.Stage = name } }

func when(w pipeline.When) func(*pipeline.Job) { return func(j *pipeline.Job) { j.When = w } }

func needs(names ...string) func(*pipeline.Job) {
	return func(j *pipeline.Job) {
		j.Needs = []pipeline.Need{}
		for _, n := range names {
			j.Needs = append(j.Needs, pipeline.Need{Job: n, Artifacts: true})
		}
	}
}

func allowFailure(codes ...int) func(*pipeline.Job) {
	return func(j *pipeline.Job) { j.AllowFailure, j.AllowFailureExitCodes = len(codes) == 0, codes }
}

func artifacts(a pipeline.Artifacts) func(*pipeline.Job) {
	return func(j *pipeline.Job) { j.Artifacts = &a }
}

func variables(pairs ...string) func(*pipeline.Job) {
	return func(j *pipeline.Job) {
		for _, pair := range pairs {
			key, value, _ := strings.Cut(pair, "=")
			j.Variables = append(j.Variables, pipeline.Variable{Key: key, Value: value})
		}
	}
}
