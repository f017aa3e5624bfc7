// Command slipway compiles, tests and runs GitLab CI/CD pipelines on one machine.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	// Most verbs are over before a collection pays: let the heap grow, unless GOGC says otherwise.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// exitError ends the command with a code, after everything worth saying has been said.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// run is the whole command: it returns the exit code, 0 for success, 1 for "no" (problems found, a job failed), 2 for
// unusable arguments or an environment that does not work.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var exit exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	default:
		fmt.Fprintln(stderr, "slipway: "+err.Error())
		return 2
	}
}

// newRoot assembles the commands; each lives in the file of its name.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "slipway",
		Short:         "Compile, test and run GitLab CI/CD pipelines on one machine",
		Example:       "  slipway lint\n  slipway plan --event merge_request --why deploy-production\n  slipway run",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	group := func(id, title string, commands ...*cobra.Command) {
		root.AddGroup(&cobra.Group{ID: id, Title: title})
		for _, command := range commands {
			command.GroupID = id
		}
		root.AddCommand(commands...)
	}
	group("compile", "Know what GitLab would do:",
		newPlanCommand(), newLintCommand(), newMatrixCommand(), newCompileCommand(), newDiffCommand(), newEventsCommand())
	group("run", "Run it here:", newRunCommand(), newApproveCommand(), newSuperviseCommand())
	group("gates", "Inside of jobs, what scanners and tests have found:",
		newReportCommand(), newGateCommand(), newCoverageCommand(), newLicensesCommand(), newFlakyCommand(), newBenchgateCommand())
	group("tests", "Inside of jobs, what to test:", newAffectedCommand(), newShardCommand(), newTimingsCommand(), newMtimesCommand())
	root.AddCommand(newVersionCommand())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; `%s --help` tells the flags", err, cmd.CommandPath())
	})
	return root
}
