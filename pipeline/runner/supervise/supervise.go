// Package supervise runs a command so that no process outlives it: neither background processes, nor daemons that called setsid,
// nor the command itself if the program that started it is killed.
//
// Between the program and the command stands a supervisor: another process of the program's own executable that calls
// [Main]. On Linux it is the subreaper of everything below it, so it finds every descendant, including
// daemons. It watches a pipe from the program; when the pipe closes, the program is gone and the supervisor kills them all.
package supervise

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Orders that the program writes to the control pipe; closing it means kill. End, after the end of the command, ends its descendants.
const (
	orderTerminate = 't'
	orderEnd       = 'e'
	orderKill      = 'k'
)

// The supervisor's inherited files.
const (
	controlFile = 3
	statusFile  = 4
)

// A Command is a command to run.
type Command struct {
	// Supervisor is the command line that makes the executable call [Main]; the command's own is appended to it.
	Supervisor []string
	Args       []string
	Dir        string
	Env        []string
	// Output receives the standard output and error of the command and its descendants.
	Output io.Writer
	// Grace is how long the remaining descendants of a finished command may take to end after SIGTERM.
	Grace time.Duration
	// OutputPatience is how long Wait waits for descendants that keep the output open after the command has ended.
	OutputPatience time.Duration
}

// A Process is a running command with its supervisor.
type Process struct {
	command  *exec.Cmd
	status   *bufio.Reader
	pipe     *os.File
	patience time.Duration
	// copied is closed when the output has been passed on to its end.
	copied chan struct{}

	mu      sync.Mutex
	control *os.File
}

// StartAttempts is how often a supervisor is started that ends before its command has started. The supervisor's command line can begin with a
// sandbox, and bubblewrap fails when one of the machine's file systems is unmounted while it copies their mounts.
const StartAttempts = 4

// errNotStarted means that a supervisor has ended before its command was started.
var errNotStarted = errors.New("the job's supervisor ended before it started the job")

// Start starts a command, and returns when it runs. The caller must call [Process.Wait], and then [Process.End].
func Start(c Command) (*Process, error) {
	if len(c.Supervisor) == 0 || len(c.Args) == 0 {
		return nil, errors.New("supervise: no supervisor or no command")
	}
	if runtime.GOOS == "windows" {
		return nil, errors.New("jobs do not run on Windows: run slipway in WSL")
	}
	for attempt := 1; ; attempt++ {
		output := &held{w: c.Output}
		p, err := startSupervisor(c, output)
		if err != nil {
			return nil, err
		}
		_, err = p.report("start")
		if err == nil {
			output.release()
			return p, nil
		}
		if !errors.Is(err, io.EOF) {
			output.release()
			return nil, errors.Join(err, p.finish())
		}
		_ = p.finish()
		if attempt == StartAttempts {
			output.release()
			return nil, fmt.Errorf("%w: %s", errNotStarted, p.command.ProcessState)
		}
	}
}

// A held writer keeps what is written until it is released. What a sandbox says that is started again is not the job's.
type held struct {
	mu       sync.Mutex
	w        io.Writer
	kept     bytes.Buffer
	released bool
}

func (h *held) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.released {
		return h.w.Write(p)
	}
	return h.kept.Write(p)
}

func (h *held) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.released = true
	// The writer knows its errors.
	_, _ = h.kept.WriteTo(h.w)
}

// startSupervisor starts a supervisor, which will start the command.
func startSupervisor(c Command, output io.Writer) (*Process, error) {
	controlRead, controlWrite, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer controlRead.Close()
	statusRead, statusWrite, err := os.Pipe()
	if err != nil {
		controlWrite.Close()
		return nil, err
	}
	defer statusWrite.Close()

	outputRead, outputWrite, err := os.Pipe()
	if err != nil {
		controlWrite.Close()
		statusRead.Close()
		return nil, err
	}
	defer outputWrite.Close()

	args := append(append([]string{}, c.Supervisor[1:]...), c.Grace.String(), "--")
	// Without a context, which would kill the supervisor: only orders end the command first.
	command := exec.Command(c.Supervisor[0], append(args, c.Args...)...) //nolint:noctx
	command.Dir, command.Env = c.Dir, c.Env
	command.Stdout, command.Stderr = outputWrite, outputWrite
	command.ExtraFiles = []*os.File{controlRead, statusWrite}
	// A separate session: the program handles a Ctrl-C on the terminal.
	command.SysProcAttr = ownSession()
	if err := command.Start(); err != nil {
		controlWrite.Close()
		statusRead.Close()
		outputRead.Close()
		return nil, err
	}
	p := &Process{
		command: command, status: bufio.NewReader(statusRead), pipe: statusRead, patience: c.OutputPatience, copied: make(chan struct{}), control: controlWrite,
	}
	go func() {
		defer close(p.copied)
		defer outputRead.Close()
		// Errors of writing are ignored here, since the writer knows them; the command must not block on a full pipe.
		if _, err := io.Copy(output, outputRead); err != nil {
			_, _ = io.Copy(io.Discard, outputRead)
		}
	}()
	return p, nil
}

// Terminate sends SIGTERM to the command and all its descendants.
func (p *Process) Terminate() { p.order(orderTerminate) }

// Kill sends SIGKILL to the command and all its descendants.
func (p *Process) Kill() { p.order(orderKill) }

func (p *Process) order(b byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.control != nil {
		// The supervisor may just have ended.
		_, _ = p.control.Write([]byte{b})
	}
}

// Wait waits until the command has ended and its output is closed, for which it has [Command.OutputPatience] then. Descendants
// that go on are left alone. It returns the command's exit code, -1 if a signal ended it, and whether the output is closed.
func (p *Process) Wait() (code int, closed bool, err error) {
	code, err = p.report("exit")
	if err != nil {
		return 0, false, errors.Join(err, p.finish())
	}
	select {
	case <-p.copied:
		return code, true, nil
	case <-time.After(p.patience):
		return code, false, nil
	}
}

// End ends the remaining descendants of the command, and waits until they have ended and their output has been
// passed on. It returns their number. It follows Wait, and does nothing if that failed.
func (p *Process) End() (left int, err error) {
	if p.pipe == nil {
		return 0, nil
	}
	p.order(orderEnd)
	left, err = p.report("left")
	return left, errors.Join(err, p.finish())
}

// report processes a line of the supervisor.
func (p *Process) report(want string) (int, error) {
	line, err := p.status.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the job's supervisor ended early: %w", err)
	}
	kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if kind != want {
		return 0, errors.New(rest)
	}
	return strconv.Atoi(rest)
}

// finish waits for the supervisor, whose exit code has no meaning.
func (p *Process) finish() error {
	_ = p.command.Wait()
	<-p.copied
	p.mu.Lock()
	defer p.mu.Unlock()
	err := errors.Join(p.control.Close(), p.pipe.Close())
	p.control, p.pipe = nil, nil
	return err
}
