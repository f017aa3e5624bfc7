//go:build unix

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// A console is a command at a terminal of its own, and the person who sits there.
type console struct {
	t    *testing.T
	tty  *os.File
	done chan error
	mu   sync.Mutex
	text bytes.Buffer
}

// startAtTerminal starts slipway in a playground at a terminal of 24 lines and 80 columns.
func (p playground) startAtTerminal(args ...string) *console {
	p.t.Helper()
	self, err := os.Executable()
	if err != nil {
		p.t.Fatal(err)
	}
	cmd := exec.CommandContext(p.t.Context(), self, append(args, "--directory", p.dir)...)
	cmd.Env = append(os.Environ(), asSlipway+"=1", "TERM=xterm", "NO_COLOR=1")
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		p.t.Fatal(err)
	}
	c := &console{t: p.t, tty: tty, done: make(chan error, 1)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for {
			n, err := tty.Read(buffer)
			c.mu.Lock()
			c.text.Write(buffer[:n])
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		err := cmd.Wait()
		<-read // a terminal that nobody has open any more is at its end
		c.done <- err
	}()
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = tty.Close()
	})
	return c
}

func (c *console) shown() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// await waits until a text is on the screen.
func (c *console) await(text string) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(c.shown(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("%q is not shown:\n%s", text, c.shown())
		}
	}
}

func (c *console) enter(keys string) {
	c.t.Helper()
	if _, err := c.tty.WriteString(keys); err != nil {
		c.t.Fatal(err)
	}
}

// ended waits for the end of the command, which must be a success.
func (c *console) ended() {
	c.t.Helper()
	select {
	case err := <-c.done:
		if err != nil {
			c.t.Errorf("%v:\n%s", err, c.shown())
		}
	case <-time.After(time.Minute):
		c.t.Fatalf("the command does not end:\n%s", c.shown())
	}
}

func TestShellAtATerminal(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, "variables: {COLOR: blue}\nunit: {script: [make]}\n")
	c := p.startAtTerminal("shell", "unit", "--executor", "shell", "--cache-dir", p.cache)
	c.await("[unit]")
	c.enter("echo \"<$COLOR $CI_JOB_NAME $(stty size)>\"; ls .gitlab-ci.yml\n")
	c.await("<blue unit 24 80>")
	c.await("\n.gitlab-ci.yml")
	// Ctrl-C is for the program that runs in the shell, not for the shell or slipway.
	c.enter("sh -c 'echo begun-$((1+1)); exec sleep 1000'\n")
	c.await("begun-2")
	c.enter("\x03")
	c.enter("echo \"<still $((40+2))>\"\n")
	c.await("<still 42>")
	c.enter("exit 3\n")
	c.ended()
}

func TestLogsFollowAtATerminal(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, "unit: {script: [echo begins, 'while ! test -e $GO; do sleep 0.1; done', echo ends]}\n")
	signal := filepath.Join(t.TempDir(), "go")
	running := make(chan int)
	go func() {
		code, _, _ := p.slipway("run", "--executor", "shell", "--var", "GO="+signal)
		running <- code
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if logs, _ := filepath.Glob(filepath.Join(p.dir, ".slipway/runs/1/jobs/unit/log")); len(logs) > 0 || time.Now().After(deadline) {
			break
		}
	}
	c := p.startAtTerminal("logs", "--follow", "unit")
	c.await("begins")
	if strings.Contains(c.shown(), "\nends") {
		t.Errorf("the job has ended already:\n%s", c.shown())
	}
	fill(t, signal, nil)
	c.await("\nends")
	c.ended()
	if code := <-running; code != 0 {
		t.Errorf("the run ends with %d", code)
	}
}
