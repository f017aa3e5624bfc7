//go:build unix

package runner

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// daemon is a command that starts a process which leaves its session, forgets its environment and ignores SIGTERM, and
// writes the process's id into a file.
func daemon(pidFile string) string {
	return `env -i PATH="$PATH" setsid bash -c 'trap "" TERM INT HUP; exec >/dev/null 2>&1; echo $$ >` + pidFile + `; while :; do sleep 1; done' & ` +
		`while ! [ -s ` + pidFile + ` ]; do sleep 0.02; done`
}

func gone(t *testing.T, pidFile string) {
	t.Helper()
	if running(t, pidFile) {
		pid := readPID(t, pidFile)
		t.Errorf("process %d outlived its job", pid)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

func running(t *testing.T, pidFile string) bool {
	t.Helper()
	return syscall.Kill(readPID(t, pidFile), 0) == nil
}

func readPID(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestDaemonDoesNotOutliveItsJob(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script string
		status       Status
	}{{"success", "true", Success}, {"failure", "false", Failed}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			pid := filepath.Join(t.TempDir(), "pid")
			r := p.run(job("j", daemon(pid)+"; "+tt.script))
			if s := state(r, "j"); s.Status != tt.status {
				t.Errorf("got %s", s.Status)
			}
			gone(t, pid)
		})
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.Grace = 200 * time.Millisecond
	pid := filepath.Join(t.TempDir(), "pid")
	r := p.run(job("j", daemon(pid)+"; trap '' TERM; sleep 100", func(j *pipeline.Job) {
		j.Timeout, j.AfterScript = 10*time.Second, []string{"echo after"}
	}))
	s := state(r, "j")
	if s.Status != Failed || s.Failure != JobTimeout || s.Error != "it took longer than its timeout of 10s" {
		t.Errorf("got %+v", s)
	}
	p.wantLog(r, "j", "!after\n")
	gone(t, pid)
}

func TestScriptTimeoutLeavesTimeForAfterScript(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.Grace = 200 * time.Millisecond
	r := p.run(job("j", "sleep 100", variables("RUNNER_SCRIPT_TIMEOUT=500ms"), func(j *pipeline.Job) {
		j.AfterScript = []string{"echo after $CI_JOB_STATUS"}
	}))
	if s := state(r, "j"); s.Failure != JobTimeout {
		t.Errorf("got %+v", s)
	}
	p.wantLog(r, "j", "after timedout")
}

func TestAfterScript(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script, after string
		status              Status
		lines               []string
	}{
		{"sees success", "true", "echo status $CI_JOB_STATUS", Success, []string{"status success"}},
		{"sees failure", "false", "echo status $CI_JOB_STATUS", Failed, []string{"status failed"}},
		{"is another shell", "x=1; cd /", `echo "[$x] $(pwd)" | grep '^\[\] .*app$'`, Success, []string{"!WARNING"}},
		{"does not change success", "true", "exit 9", Success, []string{"[slipway] WARNING: after_script failed with exit code 9; the job's result stays"}},
		{"ends in time", "true", "sleep 100", Success, []string{"[slipway] WARNING: after_script took too long and was ended; the job's result stays"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			p.options.Grace = 100 * time.Millisecond
			if tt.after == "sleep 100" {
				p.options.AfterScriptTimeout = time.Second
			}
			r := p.run(job("j", tt.script, func(j *pipeline.Job) { j.AfterScript = []string{tt.after} }))
			if s := state(r, "j"); s.Status != tt.status {
				t.Errorf("got %s, want %s", s.Status, tt.status)
			}
			p.wantLog(r, "j", tt.lines...)
		})
	}
}

func TestAfterScriptThatCounts(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	after := func(command string) func(*pipeline.Job) {
		return func(j *pipeline.Job) { j.AfterScript = []string{command} }
	}
	counts := variables("AFTER_SCRIPT_IGNORE_ERRORS=false")
	r := p.run(job("bad", "true", counts, after("exit 9")), job("good", "true", counts, after("true")), job("worse", "exit 3", counts, after("exit 9")))
	p.want(r, RunFailed, "bad: failed", "good: success", "worse: failed")
	if s := state(r, "bad"); s.Failure != ScriptFailure || s.ExitCode != 9 || s.Error != "after_script failed with exit code 9" {
		t.Errorf("got %+v", s)
	}
	if s := state(r, "worse"); s.ExitCode != 3 {
		t.Errorf("got %+v", s)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, trap string
		second     bool
		grace      time.Duration
		lines      []string
	}{
		{"a script that cleans up", `trap 'echo cleaned; exit 1' TERM`, false, 10 * time.Second, []string{"cleaned", "after canceled"}},
		{"a script that will not end", `trap '' TERM`, false, 200 * time.Millisecond, []string{"after canceled"}},
		{"a second signal", `trap '' TERM`, true, time.Hour, []string{"[slipway] Job canceled"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			ready := filepath.Join(t.TempDir(), "ready")
			pid := filepath.Join(t.TempDir(), "pid")
			kill := make(chan struct{})
			p.options.Grace, p.options.Kill = tt.grace, kill
			ctx, cancel := context.WithCancel(context.Background())
			go func() {
				for _, err := os.Stat(ready); err != nil; _, err = os.Stat(ready) {
					time.Sleep(10 * time.Millisecond)
				}
				cancel()
				if tt.second {
					time.Sleep(200 * time.Millisecond)
					close(kill)
				}
			}()
			r, err := Run(ctx, planOf(
				job("j", daemon(pid)+"; "+tt.trap+"; touch "+ready+"; while :; do sleep 0.05; done", func(j *pipeline.Job) {
					j.AfterScript = []string{"echo after $CI_JOB_STATUS"}
				}),
				job("later", "true", stage("deploy"))), p.options)
			if err != nil {
				t.Fatal(err)
			}
			p.want(r, RunCanceled, "j: canceled", "later: canceled")
			p.wantLog(r, "j", tt.lines...)
			gone(t, pid)
		})
	}
}
