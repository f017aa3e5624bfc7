package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline/runner"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/progress"
)

// runFlags configure how runs behave on this machine; the commands that run jobs share them.
type runFlags struct {
	jobs     int
	timeout  time.Duration
	format   string
	cacheDir string
	noInput  bool
	verbose  bool
	deploy   bool
	// onFailure is what happens in a job whose script has failed.
	onFailure string
}

func (f *runFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVarP(&f.jobs, "jobs", "j", 0, "`NUMBER` of jobs that run in parallel (default: the number of CPUs)")
	flags.DurationVar(&f.timeout, "timeout", time.Hour, "time limit of jobs without one")
	flags.StringVar(&f.format, "format", "text", "`NAME` of the output: text, or json, a line for each event")
	flags.StringVar(&f.cacheDir, "cache-dir", "", "`DIR` for tools, caches and checkouts (default: slipway in the user's cache folder)")
	flags.BoolVar(&f.noInput, "no-input", false, "never ask, even on a terminal")
	flags.BoolVar(&f.deploy, "deploy", false, "run automatic jobs that deploy to staging or production without asking")
	flags.StringVar(&f.onFailure, "on-failure", "", "`ACTION` in a job whose script has failed: shell, to look around in it")
	_ = cmd.RegisterFlagCompletionFunc("on-failure", cobra.FixedCompletions([]string{"shell"}, cobra.ShellCompDirectiveNoFileComp))
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "show the jobs' logs while they run")
}

// apply sets what the flags, the terminal and the environment say.
func (f *runFlags) apply(cmd *cobra.Command, o *runner.Options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o.Supervisor = []string{self, superviseCommand}
	o.Env = os.Environ()
	o.User = gitUser(cmd.Context(), o.Dir)
	o.User.Login = os.Getenv("USER")
	o.Jobs, o.Timeout, o.Output, o.CacheDir, o.Deploy = f.jobs, f.timeout, f.verbose, f.cacheDir, f.deploy
	switch f.onFailure {
	case "":
	case "shell":
		if o.Terminal = terminalOf(cmd); o.Terminal == nil {
			return errors.New("--on-failure shell needs a terminal or a file as standard input and output")
		}
		o.ShellOnFailure = true
	default:
		return fmt.Errorf("--on-failure %q: want shell", f.onFailure)
	}
	out := cmd.OutOrStdout()
	switch f.format {
	case "text":
		approve := func(job string, blocking bool) string {
			// The given command is for the job that blocks the run.
			if blocking && o.ApproveHint != "" {
				return o.ApproveHint
			}
			return "slipway approve " + quoteWord(job)
		}
		o.Observe = progress.NewText(out, palette(out), progress.Hints{Approve: approve, Deploy: "with --deploy it starts without"}).Observe
	case "json":
		o.Observe = progress.JSON(out)
	default:
		return fmt.Errorf("--format %q: want text or json", f.format)
	}
	if in, ok := cmd.InOrStdin().(*os.File); ok && !f.noInput && f.format == "text" && isatty.IsTerminal(in.Fd()) {
		o.Confirm = confirmOn(in, out)
	}
	o.Kill = secondSignal(cmd.Context())
	return nil
}

// terminalOf returns the terminal of the command; nil if the command's input and output are not files.
func terminalOf(cmd *cobra.Command) *runner.Terminal {
	in, inFile := cmd.InOrStdin().(*os.File)
	out, outFile := cmd.OutOrStdout().(*os.File)
	if !inFile || !outFile {
		return nil
	}
	return &runner.Terminal{In: in, Out: out, TTY: isatty.IsTerminal(in.Fd()) && isatty.IsTerminal(out.Fd())}
}

// confirmOn asks on a terminal. The answer is read in the background, since reading cannot be interrupted.
func confirmOn(in io.Reader, out io.Writer) func(context.Context, runner.JobState) (bool, error) {
	lines := make(chan string)
	return func(ctx context.Context, job runner.JobState) (bool, error) {
		fmt.Fprintf(out, "%s [y/N] ", job.Confirmation)
		go func() {
			line, _ := bufio.NewReader(in).ReadString('\n')
			lines <- line
		}()
		select {
		case <-ctx.Done():
			fmt.Fprintln(out)
			return false, ctx.Err()
		case line := <-lines:
			answer := strings.ToLower(strings.TrimSpace(line))
			return answer == "y" || answer == "yes", nil
		}
	}
}

// secondSignal returns a channel that is closed at the first signal after the one that ended the context.
func secondSignal(ctx context.Context) <-chan struct{} {
	kill := make(chan struct{})
	signals := make(chan os.Signal, 1)
	go func() {
		<-ctx.Done()
		signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
		<-signals
		close(kill)
	}()
	return kill
}

// finish turns the result of a run into the exit of the command.
func finish(result runner.Result, err error) error {
	if missing, is := errors.AsType[*runner.NoEngineError](err); is {
		return fmt.Errorf("%w (--executor shell)", missing)
	}
	switch {
	case err != nil:
		return err
	case result.Status == runner.RunSuccess, result.Status == runner.RunWaiting:
		return nil
	default:
		return exitError(1)
	}
}

// quoteWord quotes a job's name for the shell where it must be.
func quoteWord(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:") == "" {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
