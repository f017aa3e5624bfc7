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
			_, _ = p.Wait()
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

func TestExitCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, script string
		want         Exit
		output       string
	}{
		{"success", "echo out; echo err >&2", Exit{}, "out\nerr\n"},
		{"failure", "exit 7", Exit{Code: 7}, ""},
		{"signal", "kill -9 $$", Exit{Code: 137}, ""},
		{"standard input is empty", "cat", Exit{}, ""},
		{"kill of the own group spares the supervisor", "trap 'exit 5' TERM; kill -TERM 0; sleep 1", Exit{Code: 5}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			exit, err := start(t, &out, tt.script).Wait()
			if err != nil {
				t.Fatal(err)
			}
			if exit != tt.want || out.String() != tt.output {
				t.Errorf("got %+v %q, want %+v %q", exit, out.String(), tt.want, tt.output)
			}
		})
	}
}

func TestCommandNotFound(t *testing.T) {
	t.Parallel()
	p, err := Start(Command{Supervisor: supervisor(), Args: []string{"no-such-command"}, Output: &bytes.Buffer{}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err == nil || !strings.Contains(err.Error(), "no-such-command") {
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
		{"killed", stubborn + "sleep 100", (*Process).Kill, 137},
		{"terminated, then killed", "trap '' TERM; " + stubborn + "sleep 100; sleep 100", func(p *Process) {
			p.Terminate()
			time.Sleep(50 * time.Millisecond)
			p.Kill()
		}, 137},
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
			exit, err := p.Wait()
			if err != nil {
				t.Fatal(err)
			}
			if exit.Code != tt.code {
				t.Errorf("exit code %d, want %d", exit.Code, tt.code)
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
