package supervise

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain makes the test binary its own supervisor, and a program that can be killed while its command runs.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "supervise":
			os.Exit(Main(os.Args[2:]))
		case "program":
			p, err := Start(Command{Supervisor: supervisor(), Args: os.Args[2:], Env: os.Environ(), Output: os.Stdout})
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			_, _, _ = p.Wait()
			_, _ = p.End()
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

func supervisor() []string {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return []string{self, "supervise"}
}

func start(t *testing.T, output *bytes.Buffer, script string) *Process {
	t.Helper()
	p, err := Start(Command{
		Supervisor: supervisor(), Args: []string{"bash", "-c", script}, Dir: t.TempDir(), Env: os.Environ(),
		Output: output, Grace: 100 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// finished waits for a command and ends what it has left.
func finished(t *testing.T, p *Process) (code, left int) {
	t.Helper()
	code, _, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	left, err = p.End()
	if err != nil {
		t.Fatal(err)
	}
	return code, left
}

// TestDescendantsLiveUntilEnd checks that what a command leaves in the background goes on until End.
func TestDescendantsLiveUntilEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var out bytes.Buffer
	p, err := Start(Command{
		Supervisor: supervisor(), Args: []string{"bash", "-c", stubborn + "exit 3"}, Dir: dir, Env: os.Environ(), Output: &out,
		Grace: 100 * time.Millisecond, OutputPatience: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	code, closed, err := p.Wait()
	if err != nil || code != 3 || !closed {
		t.Errorf("got %d, closed %t, %v", code, closed, err)
	}
	pid := waitForPid(t, filepath.Join(dir, "pid"))
	if !alive(pid) {
		t.Error("the process has ended with the command")
	}
	if left, err := p.End(); err != nil || left == 0 {
		t.Errorf("End: %d, %v", left, err)
	}
	if alive(pid) {
		t.Errorf("process %d outlived the end", pid)
	}
}

// TestLateOutput checks that Wait waits for output of the background, but not for ever.
func TestLateOutput(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script, output string
		patience             time.Duration
		closed               bool
	}{
		{"in time", "(sleep 0.3; echo late) & echo end", "end\nlate\n", time.Minute, true},
		{"too late", "(sleep 100; echo late) & echo end", "end\n", 10 * time.Millisecond, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			p, err := Start(Command{
				Supervisor: supervisor(), Args: []string{"bash", "-c", tt.script}, Env: os.Environ(), Output: &out,
				Grace: 100 * time.Millisecond, OutputPatience: tt.patience,
			})
			if err != nil {
				t.Fatal(err)
			}
			_, closed, err := p.Wait()
			if err != nil || closed != tt.closed {
				t.Errorf("closed: %t, %v", closed, err)
			}
			if _, err := p.End(); err != nil {
				t.Error(err)
			}
			if out.String() != tt.output {
				t.Errorf("got %q, want %q", out.String(), tt.output)
			}
		})
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script string
		want         int
		output       string
	}{
		{"success", "echo out; echo err >&2", 0, "out\nerr\n"},
		{"failure", "exit 7", 7, ""},
		{"signal", "kill -9 $$", -1, ""},
		{"standard input is empty", "cat", 0, ""},
		{"kill of the own group spares the supervisor", "trap 'exit 5' TERM; kill -TERM 0; sleep 1", 5, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			exit, _ := finished(t, start(t, &out, tt.script))
			if exit != tt.want || out.String() != tt.output {
				t.Errorf("got %d %q, want %d %q", exit, out.String(), tt.want, tt.output)
			}
		})
	}
}

func TestCommandNotFound(t *testing.T) {
	t.Parallel()
	_, err := Start(Command{Supervisor: supervisor(), Args: []string{"no-such-command"}, Output: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "no-such-command") {
		t.Errorf("got %v", err)
	}
}

// stubborn is a grandchild that leaves its session, clears its environment, ignores SIGTERM and closes its output.
const stubborn = `env -i PATH="$PATH" setsid bash -c 'trap "" TERM HUP INT; exec >/dev/null 2>&1; echo $$ >pid; while :; do sleep 1; done' & ` +
	`while ! [ -s pid ]; do sleep 0.01; done; cat pid; `

func TestNothingSurvives(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script string
		act          func(*Process)
		code         int
	}{
		{"the command ends", stubborn + "exit 3", func(*Process) {}, 3},
		{"killed", stubborn + "sleep 100", (*Process).Kill, -1},
		{"terminated, then killed", "trap '' TERM; " + stubborn + "sleep 100; sleep 100", func(p *Process) {
			p.Terminate()
			time.Sleep(50 * time.Millisecond)
			p.Kill()
		}, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			dir := t.TempDir()
			p, err := Start(Command{
				Supervisor: supervisor(), Args: []string{"bash", "-c", tt.script}, Dir: dir, Env: os.Environ(),
				Output: &out, Grace: 100 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			pid := waitForPid(t, filepath.Join(dir, "pid"))
			tt.act(p)
			exit, _ := finished(t, p)
			if exit != tt.code {
				t.Errorf("exit code %d, want %d", exit, tt.code)
			}
			if alive(pid) {
				t.Errorf("process %d outlived the command", pid)
			}
		})
	}
}

func TestProgramKilled(t *testing.T) {
	t.Parallel()
	self := supervisor()[0]
	dir := t.TempDir()
	program := exec.Command(self, "program", "bash", "-c", stubborn+"sleep 100")
	program.Dir = dir
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	pid := waitForPid(t, filepath.Join(dir, "pid"))
	if err := program.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = program.Wait()
	for deadline := time.Now().Add(10 * time.Second); alive(pid); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("process %d outlived the program", pid)
		}
	}
}

// A sandbox in front of the supervisor that fails is started again, since nothing has run yet; one that always fails is an error.
func TestStartsAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		failures, runs int
		output         string
	}{{0, 1, "of the job\n"}, {2, 1, "of the job\n"}, {9, 0, "no mount\n"}} {
		t.Run(strconv.Itoa(c.failures), func(t *testing.T) {
			t.Parallel()
			var output bytes.Buffer
			dir := t.TempDir()
			sandbox := `echo >>tries; [ "$(wc -l <tries)" -gt "$0" ] || { echo no mount; exit 7; }; exec "$@"`
			p, err := Start(Command{
				Supervisor: append([]string{"bash", "-c", sandbox, strconv.Itoa(c.failures)}, supervisor()...), Args: []string{"bash", "-c", "echo >>runs; echo of the job; exit 3"},
				Dir: dir, Env: os.Environ(), Output: &output,
			})
			if c.runs == 0 {
				if err == nil || !strings.Contains(err.Error(), "exit status 7") {
					t.Errorf("started: %v", err)
				}
			} else if err != nil {
				t.Fatal(err)
			} else if code, _ := finished(t, p); code != 3 {
				t.Errorf("exit code %d", code)
			}
			runs, _ := os.ReadFile(filepath.Join(dir, "runs"))
			if len(runs) != c.runs || output.String() != c.output {
				t.Errorf("ran %d times\n%s", len(runs), &output)
			}
		})
	}
}

func TestByHand(t *testing.T) {
	t.Parallel()
	if code := Main([]string{"x"}); code != 2 {
		t.Errorf("got %d", code)
	}
}

func waitForPid(t *testing.T, file string) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, _ := os.ReadFile(file)
		if pid, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil {
			return pid
		}
	}
	t.Fatal("the grandchild did not start")
	return 0
}

func alive(pid int) bool {
	_, alive := parentOf(pid)
	return alive && syscall.Kill(pid, 0) == nil
}
