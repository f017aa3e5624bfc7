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
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
)

func main() {
	// Most commands are over before a collection pays: let the heap grow, unless GOGC says otherwise.
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
	wanted := ""
	if len(args) > 0 {
		wanted = args[0]
	}
	root := newRoot(wanted)
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
		message := "slipway: " + err.Error()
		if hint := errorHint(err); hint != "" {
			message += " (" + hint + ")"
		}
		fmt.Fprintln(stderr, message)
		return 2
	}
}

// A subcommand is a command by its name.
type subcommand struct {
	name    string
	command func() *cobra.Command
}

// A group is commands under a title.
type group struct {
	id, title string
	commands  []subcommand
}

// groups are the commands as `slipway --help` shows them; each lives in the file of its name.
func groups() []group {
	return []group{
		{"compile", "Predict what GitLab does:", []subcommand{
			{"plan", newPlanCommand}, {"lint", newLintCommand}, {"matrix", newMatrixCommand}, {"compile", newCompileCommand},
			{"diff", newDiffCommand}, {"events", newEventsCommand},
		}},
		{"run", "Run pipelines on this machine:", []subcommand{
			{"run", newRunCommand}, {"approve", newApproveCommand}, {"retry", newRetryCommand}, {"shell", newShellCommand},
			{"runs", newRunsCommand}, {"logs", newLogsCommand}, {"clean", newCleanCommand}, {"variables", newVariablesCommand},
			{superviseCommand, newSuperviseCommand},
		}},
		{"gates", "In jobs: evaluate scanners and tests:", []subcommand{
			{"report", newReportCommand}, {"gate", newGateCommand}, {"coverage", newCoverageCommand}, {"licenses", newLicensesCommand},
			{"flaky", newFlakyCommand}, {"benchgate", newBenchgateCommand},
		}},
		{"deliver", "In jobs: deploy:", []subcommand{
			{"rollout", newRolloutCommand}, {"four-eyes", newFourEyesCommand}, {"verify-image", newVerifyImageCommand},
		}},
		{"tests", "In jobs: select what to test:", []subcommand{
			{"affected", newAffectedCommand}, {"shard", newShardCommand}, {"timings", newTimingsCommand}, {"mtimes", newMtimesCommand},
		}},
		{"", "", []subcommand{{"config", newConfigCommand}, {"version", newVersionCommand}, {"docs", newDocsCommand}}},
	}
}

// newRoot assembles the command that is wanted, or all of them if there is none of that name: a run needs one, and creating all
// takes a quarter of a millisecond.
func newRoot(wanted string) *cobra.Command {
	root := &cobra.Command{
		Use:           "slipway",
		Short:         "Compile, test and run GitLab CI/CD pipelines on one machine",
		Example:       "  slipway lint\n  slipway plan --event merge_request --why deploy-production\n  slipway run",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.HasParent() && cmd.Parent().Name() == "completion" || cmd.Hidden || cmd.DisableFlagParsing {
				return nil // completion scripts, and what slipway starts itself
			}
			return applySettings(cmd)
		},
	}
	root.SetVersionTemplate(versionText())
	// Help fits into 100 columns, whatever the length of a flag's description.
	usage := strings.ReplaceAll(root.UsageTemplate(), "FlagUsages |", "FlagUsagesWrapped 100 |")
	root.SetUsageTemplate(usage)
	one := false
	for _, group := range groups() {
		one = one || slices.ContainsFunc(group.commands, func(c subcommand) bool { return c.name == wanted })
	}
	for _, group := range groups() {
		if group.id != "" {
			root.AddGroup(&cobra.Group{ID: group.id, Title: group.title})
		}
		for _, c := range group.commands {
			if !one || c.name == wanted {
				command := c.command()
				command.GroupID = group.id
				root.AddCommand(command)
			}
		}
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if name, ok := strings.CutPrefix(err.Error(), "unknown flag: --"); ok {
			if near := spelling.Closest(name, flagNames(cmd)); near != "" {
				return fmt.Errorf("%w; did you mean --%s?", err, near)
			}
		}
		return fmt.Errorf("%w; `%s --help` lists the flags", err, cmd.CommandPath())
	})
	return root
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
	return names
}
