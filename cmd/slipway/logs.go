package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// newLogsCommand is `slipway logs`: what jobs have written.
func newLogsCommand() *cobra.Command {
	var dir string
	var number int
	var follow bool
	command := &cobra.Command{
		Use:   "logs [JOB...]",
		Short: "Print the logs of a run's jobs",
		Long: `Print the logs of jobs: of the latest run, or the one that --run names. Without JOB these are the
logs of all jobs that have begun, each below its name. With --follow, also of a run in another
terminal, it continues until the jobs have ended.`,
		Example: `  slipway logs unit
  slipway logs --follow
  slipway logs deploy-staging --run 12`,
		RunE: func(cmd *cobra.Command, names []string) error {
			past, err := runner.Find(dir, number)
			if err != nil {
				return err
			}
			l := logPrinter{dir: dir, run: past.Run, names: names, follow: follow, out: cmd.OutOrStdout()}
			return l.print(cmd.Context())
		},
		ValidArgsFunction: completeRunJobs(&dir, &number),
	}
	bindRun(command, &dir, &number)
	command.Flags().BoolVarP(&follow, "follow", "f", false, "continue until the jobs have ended")
	return command
}

// followInterval is how often a log that grows is looked at.
const followInterval = 200 * time.Millisecond

// A logPrinter prints the logs of a run, one job after the other, in the order in which they have begun.
type logPrinter struct {
	dir    string
	run    int
	names  []string
	follow bool
	out    io.Writer
}

func (l logPrinter) print(ctx context.Context) error {
	printed := map[string]bool{}
	for {
		past, err := runner.Find(l.dir, l.run)
		if err != nil {
			return err
		}
		jobs, err := l.jobs(past)
		if err != nil {
			return err
		}
		open := false
		for _, job := range jobs {
			if printed[job.Name] {
				continue
			}
			if job.Started.IsZero() {
				open = true
				continue
			}
			printed[job.Name] = true
			if len(jobs) > 1 {
				fmt.Fprintf(l.out, "==> %s <==\n", job.Name)
			}
			if err := l.copy(ctx, past, job); err != nil {
				return err
			}
		}
		if !l.follow || !open || past.Status != runner.RunRunning {
			return nil
		}
		if pause(ctx) != nil {
			return nil //nolint:nilerr // Ctrl-C ends --follow
		}
	}
}

// jobs are those whose logs are wanted.
func (l logPrinter) jobs(past runner.Past) ([]runner.JobState, error) {
	if len(l.names) == 0 {
		return past.Jobs, nil
	}
	var jobs []runner.JobState
	for _, name := range l.names {
		found := past.Named(name)
		if len(found) == 0 {
			var all []string
			for _, job := range past.Jobs {
				all = append(all, job.Name)
			}
			if near := spelling.Closest(name, all); near != "" {
				return nil, fmt.Errorf("run %d has no job %q; did you mean %q?", past.Run, name, near)
			}
			return nil, fmt.Errorf("run %d has no job %q", past.Run, name)
		}
		jobs = append(jobs, found...)
	}
	return jobs, nil
}

// copy prints a log, to the end that it has now or, if it is followed, when the job ends.
func (l logPrinter) copy(ctx context.Context, past runner.Past, job runner.JobState) error {
	file, err := os.Open(past.Log(job))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	for {
		// The state first: what is written after it is read is printed in the next round.
		ended := !l.follow || l.ended(job.Name)
		if _, err := io.Copy(l.out, file); err != nil {
			return err
		}
		if ended || pause(ctx) != nil {
			return nil
		}
	}
}

// ended reports whether nothing more is written to a job's log.
func (l logPrinter) ended(name string) bool {
	past, err := runner.Find(l.dir, l.run)
	if err != nil || past.Status != runner.RunRunning {
		return true
	}
	for _, job := range past.Named(name) {
		if job.Status == runner.Running || job.Status == runner.Pending || job.Status == runner.Waiting {
			return false
		}
	}
	return true
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(followInterval):
		return nil
	}
}
