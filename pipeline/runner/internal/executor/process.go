package executor

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/supervise"
)

// leftoverGrace is how long what a script left in the background may take to end after SIGTERM.
const leftoverGrace = time.Second

// process runs a command with the environment, supervised, until it has ended or the context has.
func (c Config) process(ctx context.Context, args []string, dir string, env []string, output io.Writer) (supervise.Exit, error) {
	process, err := supervise.Start(supervise.Command{
		Supervisor: c.Supervisor, Args: args, Dir: dir, Env: env, Output: output, Grace: leftoverGrace,
	})
	if err != nil {
		return supervise.Exit{}, err
	}
	defer c.stopWhenDone(ctx, process)()
	return process.Wait()
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

// writeScript writes a script to the job's folder of scripts and returns its path. Only the owner can read it: it can hold secrets.
func (j Job) writeScript(name, text string) (string, error) {
	path := filepath.Join(j.Scripts, name+".sh")
	return path, os.WriteFile(path, []byte(text), 0o600)
}
