package executor

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/supervise"
)

const (
	// leftoverGrace is how long background processes of a script may take to end after SIGTERM.
	leftoverGrace = time.Second
	// outputPatience is how long a script that has ended waits for background processes to close its output. GitLab's shell executor waits
	// until the job's timeout.
	outputPatience = 10 * time.Second
)

// processes are those of a session, background processes included.
type processes struct{ started []*supervise.Process }

// run runs a command with the environment, supervised, until it or the context has ended, and returns its exit code.
func (p *processes) run(ctx context.Context, c Config, job Job, args, env []string, output io.Writer) (code int, err error) {
	process, err := supervise.Start(supervise.Command{
		Supervisor: c.Supervisor, Args: args, Dir: job.Root, Env: env, Output: output, Grace: leftoverGrace, OutputPatience: outputPatience,
	})
	if err != nil {
		return 0, err
	}
	defer c.stopWhenDone(ctx, process)()
	code, closed, err := process.Wait()
	if err != nil {
		return 0, err
	}
	p.started = append(p.started, process)
	if !closed {
		job.Logf("A process in the background still holds the job's output: GitLab's shell executor would wait for it, up to the job's timeout")
	}
	return code, nil
}

// end ends the background processes, and returns their number.
func (p *processes) end() (left int, err error) {
	for _, process := range p.started {
		n, e := process.End()
		left, err = left+n, errors.Join(err, e)
	}
	p.started = nil
	return left, err
}

// stopWhenDone ends a process when the context does: with SIGTERM, and after the grace, or when Kill is closed, with SIGKILL.
// The returned function ends the watch.
func (c Config) stopWhenDone(ctx context.Context, process *supervise.Process) func() {
	over := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case <-over:
			return
		case <-c.Kill:
		case <-ctx.Done():
			process.Terminate()
			select {
			case <-over:
				return
			case <-c.Kill:
			case <-time.After(c.Grace):
			}
		}
		process.Kill()
	}()
	return func() {
		close(over)
		<-watched
	}
}

// writeScript writes a script to the job's folder of scripts and returns its path. Only the owner can read it, since it can contain secrets.
func (j Job) writeScript(name, text string) (string, error) {
	path := filepath.Join(j.Scripts, name+".sh")
	return path, os.WriteFile(path, []byte(text), 0o600)
}
