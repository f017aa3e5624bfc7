//go:build unix

package runner

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filelock"
)

// delivery is a pipeline that stops at a gate.
func delivery() *pipeline.Plan {
	return planOf(
		job("build", "echo built at $(date +%N) >app; echo DIGEST=sha256:$(sha256sum <app | cut -c1-12) >d.env", artifacts(pipeline.Artifacts{
			Paths: []string{"app"}, Reports: map[string]any{"dotenv": "d.env"},
		})),
		job("deploy", `cat README; echo "deploying $DIGEST, is sha256:$(sha256sum <app | cut -c1-12)"`, stage("deploy"), when(pipeline.Manual), needs("build"),
			func(j *pipeline.Job) { j.ResourceGroup = "production" }),
		job("announce", "echo announced", stage("last")),
		job("optional", "echo optional", stage("last"), needs(), when(pipeline.Manual), allowFailure()))
}

func TestResume(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	first := p.runPlan(delivery())
	p.want(first, RunWaiting, "build: success", "deploy: manual", "announce: created", "optional: manual")
	if gates := first.Gates(); len(gates) != 1 || gates[0].Name != "deploy" {
		t.Errorf("gates: %v", gates)
	}
	// The work tree and the branch move on; the run does not.
	p.write("README", "changed since\n")
	p.git("commit", "--quiet", "-am", "second")

	second, err := Resume(context.Background(), 0, "", p.options)
	if err != nil {
		t.Fatal(err)
	}
	p.want(second, RunSuccess, "build: success", "deploy: success", "announce: success", "optional: manual")
	if second.Run != first.Run || !state(second, "build").Started.Equal(state(first, "build").Started) {
		t.Error("something was built again")
	}
	p.wantLog(second, "deploy", "a project")
	log := p.log(second, "deploy")
	_, digests, _ := strings.Cut(log, "\ndeploying ")
	passed, own, _ := strings.Cut(strings.TrimSpace(strings.SplitN(digests, "\n", 2)[0]), ", is ")
	if passed == "" || passed != own {
		t.Errorf("the digest that was passed on is %q, the artifact's %q", passed, own)
	}

	if _, err := Resume(context.Background(), first.Run, "deploy", p.options); err == nil || !strings.Contains(err.Error(), "already approved") {
		t.Errorf("a second approval: %v", err)
	}
	third, err := Resume(context.Background(), first.Run, "optional", p.options)
	if err != nil {
		t.Fatal(err)
	}
	p.want(third, RunSuccess, "build: success", "deploy: success", "announce: success", "optional: success")
}

func TestResumeRunsWhatWasSkippedForAManualJob(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	first := p.run(job("m", "true", when(pipeline.Manual), allowFailure()), job("other", "true", when(pipeline.Manual), allowFailure()),
		job("n", "true", needs("m")), job("after", "true", stage("deploy"), needs("n")), job("not", "true", stage("deploy"), needs("other")))
	p.want(first, RunSuccess, "m: manual", "other: manual", "n: skipped", "after: skipped", "not: skipped")
	second, err := Resume(context.Background(), 0, "m", p.options)
	if err != nil {
		t.Fatal(err)
	}
	p.want(second, RunSuccess, "m: success", "other: manual", "n: success", "after: success", "not: skipped")
}

func TestResumeRefuses(t *testing.T) {
	t.Parallel()
	manual := job("deploy", "true", stage("deploy"), when(pipeline.Manual))
	for _, tt := range []struct {
		name  string
		plans []*pipeline.Plan
		run   int
		job   string
		err   string
	}{
		{"no run", nil, 0, "", "there is no run yet"},
		{"no such run", []*pipeline.Plan{planOf(manual)}, 7, "", "there is no run 7; runs that are kept: 1"},
		{"no such job", []*pipeline.Plan{planOf(manual)}, 0, "nonsense", `run 1 has no job "nonsense"; its manual jobs: deploy`},
		{"not manual", []*pipeline.Plan{planOf(job("a", "true"), manual)}, 0, "a", "a is not a manual job"},
		{"not its turn", []*pipeline.Plan{planOf(manual, job("later", "true", stage("last"), when(pipeline.Manual)))}, 0, "later", "it is not later's turn yet"},
		{"failed", []*pipeline.Plan{planOf(job("a", "false"), manual)}, 0, "deploy", "run 1 failed: what did not pass is not approved: start over"},
		{"failed, and another one waits", []*pipeline.Plan{planOf(manual), planOf(job("a", "false"), manual)}, 0, "deploy", "waiting for approval: run 1"},
		{"nothing to approve", []*pipeline.Plan{planOf(job("a", "true"))}, 0, "", "run 1 is not waiting for approval; its manual jobs: none"},
		{"several", []*pipeline.Plan{planOf(manual, job("other", "true", stage("deploy"), when(pipeline.Manual)))}, 0, "", "name one of deploy, other"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			for _, plan := range tt.plans {
				p.runPlan(plan)
			}
			_, err := Resume(context.Background(), tt.run, tt.job, p.options)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
		})
	}
}

func TestResumeElsewhere(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	r := p.runPlan(delivery())
	held, err := filelock.Try(filepath.Join(r.Dir, "lock"), true)
	if err != nil || held == nil {
		t.Fatal(err)
	}
	defer held.Unlock()
	if _, err := Resume(context.Background(), 0, "", p.options); err == nil || !strings.Contains(err.Error(), "run 1 is in progress in another process") {
		t.Errorf("got %v", err)
	}
}

// A failed deployment leaves the run failed.
func TestResumeFails(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.runPlan(planOf(job("deploy", "false", when(pipeline.Manual)), job("z", "true", stage("last"))))
	r, err := Resume(context.Background(), 0, "deploy", p.options)
	if err != nil {
		t.Fatal(err)
	}
	p.want(r, RunFailed, "deploy: failed", "z: skipped")
	if _, err := Resume(context.Background(), 0, "deploy", p.options); err == nil || !strings.Contains(err.Error(), "run 1 failed") {
		t.Errorf("got %v", err)
	}
}

func TestResumeInAChildPipeline(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	first := p.run(
		job("t", "", variables("VERSION=v1"), func(j *pipeline.Job) {
			j.Script, j.Trigger = nil, &pipeline.TriggerSpec{Strategy: "mirror", Child: planOf(job("gate", "echo got $VERSION", when(pipeline.Manual)))}
		}),
		job("z", "true", stage("last")))
	p.want(first, RunWaiting, "t: running", "t / gate: manual", "z: created")
	r, err := Resume(context.Background(), 0, "t / gate", p.options)
	if err != nil {
		t.Fatal(err)
	}
	p.want(r, RunSuccess, "t: success", "t / gate: success", "z: success")
	p.wantLog(r, "t / gate", "got v1")
}

func TestPrune(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.Keep = 2
	p.runPlan(delivery())
	for range 3 {
		p.run(job("a", "true"))
	}
	entries, err := os.ReadDir(filepath.Join(p.dir, ".slipway", "runs"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	// The first waits for a person.
	if got := strings.Join(names, " "); got != "1 3 4 latest" {
		t.Errorf("runs: %s", got)
	}
	if target, _ := os.Readlink(filepath.Join(p.dir, ".slipway", "runs", "latest")); target != "4" {
		t.Errorf("latest is %s", target)
	}
	if got := p.git("status", "--porcelain"); got != "" {
		t.Errorf("git sees what runs leave: %s", got)
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		break_ func(t *testing.T, p *project)
		err    string
	}{
		{"not a repository", func(t *testing.T, p *project) { p.options.Dir = t.TempDir() }, "not a git repository: run `git init`"},
		{"no commit", func(t *testing.T, p *project) {
			p.dir = t.TempDir()
			p.git("init", "--quiet")
			p.options.Dir = p.dir
		}, "the repository has no commit yet"},
		{"no such executor", func(t *testing.T, p *project) { p.options.Executor = "vm" }, `there is no executor "vm"`},
		{"a file in the place of the state", func(t *testing.T, p *project) { p.write(".slipway", "") }, "keep the state of runs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			tt.break_(t, p)
			_, err := Run(context.Background(), planOf(job("a", "true")), p.options)
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
		})
	}
}

// Everything that slipway writes fits into a file system of 1 MB, but not what the job writes.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting a small file system takes root")
	}
	t.Parallel()
	for _, tt := range []struct{ name, script string }{
		{"a long log", "head -c 8000000 /dev/zero | tr '\\0' x; sleep 100"},
		{"artifacts", "head -c 200000 /dev/urandom >a; cp a b; cp a c; cp a d; cp a e; cp a f; cp a g"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			small := filepath.Join(p.dir, ".slipway")
			if err := os.MkdirAll(small, 0o755); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", small).CombinedOutput(); err != nil {
				t.Skipf("cannot mount: %s", out)
			}
			t.Cleanup(func() { _ = exec.Command("umount", "--lazy", small).Run() })
			begun := time.Now()
			_, err := Run(context.Background(), planOf(job("a", tt.script, artifacts(pipeline.Artifacts{Paths: []string{"?"}})), job("b", "sleep 100")), p.options)
			if err == nil || !strings.Contains(err.Error(), "the disk is full: free space") {
				t.Errorf("got %v", err)
			}
			if took := time.Since(begun); took > 30*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// A run that is killed leaves nothing running, and the next one cleans up after it.
func TestKilledRun(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	pid := filepath.Join(t.TempDir(), "pid")
	program := exec.Command(os.Args[0], "run-and-be-killed", p.dir, p.options.CacheDir, p.options.TempDir, daemon(pid)+"; sleep 100")
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(pid); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the job did not start")
		}
	}
	_ = program.Process.Kill()
	_ = program.Wait()
	// Its supervisor notices and ends the job, on a busy machine after a while.
	for deadline := time.Now().Add(time.Minute); running(t, pid) && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	gone(t, pid)
	if _, err := Resume(context.Background(), 0, "", p.options); err == nil || !strings.Contains(err.Error(), "run 1 was interrupted") {
		t.Errorf("got %v", err)
	}
	p.want(p.run(job("other", "true")), RunSuccess, "other: success")
	// newProject checks that no temporary folder and no checkout is left.
}
