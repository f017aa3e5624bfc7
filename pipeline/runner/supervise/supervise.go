// Package supervise runs a command so that no process outlives it: not one that went to the background, not one that
// daemonised with setsid, and none if the program that asked for it is killed.
//
// Between the program and the command stands a supervisor: another process of the program's own executable that calls
// [Main]. On Linux it is the subreaper of everything below it, so it finds every descendant, whatever that did to get
// away. It watches a pipe from the program; when the pipe closes, the program is gone and the supervisor kills them all.
package supervise

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// What the program writes into the control pipe; closing it means kill.
const (
	orderTerminate = 't'
	orderKill      = 'k'
)

// The supervisor's inherited files.
const (
	controlFile = 3
	statusFile  = 4
)

// A Command is what to run.
type Command struct {
	// Supervisor is the command line that makes the executable call [Main]; the command's own is appended to it.
	Supervisor []string
	Args       []string
	Dir        string
	Env        []string
	// Output gets what the command and its descendants write to standard output and error.
	Output io.Writer
	// Grace is how long what a finished command left behind may take to end after SIGTERM.
	Grace time.Duration
}

// A Process is a running command with its supervisor.
type Process struct {
	command *exec.Cmd
	status  *os.File

	mu      sync.Mutex
	control *os.File
}

// Exit is how a command ended.
type Exit struct {
	// Code is the exit code, 128 plus the signal's number if a signal ended it.
	Code int
	// Leftover counts the processes that were still there when the command had ended, and were ended then.
	Leftover int
}

// Start starts a command. The caller must call [Process.Wait].
func Start(c Command) (*Process, error) {
	if len(c.Supervisor) == 0 || len(c.Args) == 0 {
		return nil, errors.New("supervise: no supervisor or no command")
	}
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

	args := append(append([]string{}, c.Supervisor[1:]...), c.Grace.String(), "--")
	// No context: what ends a supervisor must end its command first, which is for orders to do.
	command := exec.Command(c.Supervisor[0], append(args, c.Args...)...) //nolint:noctx
	command.Dir, command.Env = c.Dir, c.Env
	command.Stdout, command.Stderr = c.Output, c.Output
	command.ExtraFiles = []*os.File{controlRead, statusWrite}
	// A session of its own: a Ctrl-C on the terminal is the program's to handle.
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		controlWrite.Close()
		statusRead.Close()
		return nil, err
	}
	return &Process{command: command, status: statusRead, control: controlWrite}, nil
}

// Terminate sends SIGTERM to the command and all its descendants.
func (p *Process) Terminate() { p.order(orderTerminate) }

// Kill sends SIGKILL to the command and all its descendants.
func (p *Process) Kill() { p.order(orderKill) }

func (p *Process) order(b byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.control != nil {
		// A supervisor that has just ended has nothing left to be told.
		_, _ = p.control.Write([]byte{b})
	}
}

// Wait waits until the command and all its descendants are gone and everything they wrote has been passed on.
func (p *Process) Wait() (Exit, error) {
	waitErr := p.command.Wait()
	p.mu.Lock()
	p.control.Close()
	p.control = nil
	p.mu.Unlock()
	defer p.status.Close()
	line, err := bufio.NewReader(p.status).ReadString('\n')
	if err != nil {
		return Exit{}, fmt.Errorf("the job's supervisor ended early: %w", errors.Join(waitErr, err))
	}
	kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if kind != "exit" {
		return Exit{}, errors.New(rest)
	}
	code, leftover, _ := strings.Cut(rest, " ")
	var exit Exit
	exit.Code, _ = strconv.Atoi(code)
	exit.Leftover, _ = strconv.Atoi(leftover)
	// Errors of copying the output are the writer's to know; the exit code of the supervisor says nothing.
	return exit, nil
}
