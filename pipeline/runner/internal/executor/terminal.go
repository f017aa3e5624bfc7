package executor

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// prompt is the prompt of a shell that is opened in a job.
func (j Job) prompt() string { return "[" + strings.ReplaceAll(j.Name, `\\`, "/") + `] \w \$ ` }

// run runs a command at the terminal until it ends. Its exit code is ignored.
func (t *Terminal) run(ctx context.Context, args []string, dir string, environ []string) error {
	// A session at a terminal ends when the person leaves it.
	command := exec.CommandContext(context.WithoutCancel(ctx), args[0], args[1:]...)
	command.Dir, command.Env = dir, environ
	command.Stdin, command.Stdout, command.Stderr = t.In, t.Out, t.Out
	restore := func() {}
	if t.TTY {
		restore = t.foreground(command)
	}
	err := command.Run()
	restore()
	if _, ended := errors.AsType[*exec.ExitError](err); ended {
		return nil
	}
	return err
}

// An interactive executor opens shells for a person in the jobs of another.
type interactive struct {
	Executor
	terminal *Terminal
	instead  bool
	// turn is locked by the job that uses the terminal.
	turn chan struct{}
}

// Interactive returns an executor that opens a shell at the terminal: instead of every job's script, or after it has failed, before
// the job ends.
func Interactive(e Executor, terminal *Terminal, instead bool) Executor {
	return &interactive{Executor: e, terminal: terminal, instead: instead, turn: make(chan struct{}, 1)}
}

func (e *interactive) Prepare(ctx context.Context, job Job) (Session, error) {
	session, err := e.Executor.Prepare(ctx, job)
	if err != nil {
		return nil, err
	}
	return &interactiveSession{Session: session, interactive: e, job: job}, nil
}

type interactiveSession struct {
	Session
	*interactive
	job Job
}

func (s *interactiveSession) Run(ctx context.Context, script Script) (code int, err error) {
	if script.Name != "script" {
		return s.Session.Run(ctx, script)
	}
	if s.instead {
		return s.open(ctx, script)
	}
	exit, err := s.Session.Run(ctx, script)
	if err != nil || exit == 0 || ctx.Err() != nil {
		return exit, err
	}
	fmt.Fprintf(s.terminal.Out, "%s failed with exit code %d. This is a shell in its place, with its files and variables; leave it with exit.\n", s.job.Name, exit)
	if _, err := s.open(ctx, script); err != nil {
		s.job.Logf("WARNING: no shell: %v", err)
	}
	return exit, nil
}

// open opens a shell when no other job uses the terminal.
func (s *interactiveSession) open(ctx context.Context, script Script) (code int, err error) {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-s.turn }()
	script.Name, script.Text, script.Terminal = "shell", "", s.terminal
	return s.Session.Run(ctx, script)
}
