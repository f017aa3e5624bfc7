package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/docs"
	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
	"gitlab.com/slipway-ci/slipway/internal/gate/findings/risk"
	"gitlab.com/slipway-ci/slipway/internal/gate/findings/scanner"
	"gitlab.com/slipway-ci/slipway/internal/gate/findings/verdict"
	"gitlab.com/slipway-ci/slipway/internal/gate/gitdiff"
)

// gatesPage returns the address of the page that explains every gate; the last lines of a red one lead there.
func gatesPage() string { return docs.Page("gates.md") }

// acceptedRisks is where the accepted risks are unless --accepted says otherwise.
const acceptedRisks = ".gitlab/accepted-risks.yml"

// newGateCommand is `slipway gate`: the decision over what the scanners have found.
func newGateCommand() *cobra.Command {
	var scan scanFlags
	var reports []string
	var severity, confidence, accepted, newFrom, page string
	var days, databaseDays int
	command := &cobra.Command{
		Use:   "gate --report FILE...",
		Short: "Decide whether a scanner's findings stop a change",
		Long: `Decide whether a scanner's findings stop a change: by severity, confidence, accepted risks and
what is new.

A report is what gosec, govulncheck, golangci-lint, gitleaks or grype write as JSON, any SARIF, or
any of GitLab's security reports; its kind is read from its content, or by FORMAT=FILE.

Exit codes: 0 green; 1 red; 2 a report or the file of accepted risks cannot be used, which is red,
too; 3 the scanner could not reach its database, or it is too old (make it orange with
allow_failure:exit_codes: [3]).`,
		Example: `  slipway gate --report gosec.json --min-severity medium --new-from origin/main
  slipway gate --report govulncheck=govulncheck.json --log govulncheck.log \
    --min-severity high --max-database-days 14`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			policy := verdict.Policy{MaxDatabaseAge: time.Duration(databaseDays) * 24 * time.Hour, Now: time.Now()}
			var err error
			if policy.MinSeverity, err = findings.ParseSeverity(severity); err != nil {
				return fmt.Errorf("--min-severity: %w", err)
			}
			if policy.MinConfidence, err = findings.ParseConfidence(confidence); err != nil {
				return fmt.Errorf("--min-confidence: %w", err)
			}
			root, err := repositoryRoot(cmd.Context(), scan.root)
			if err != nil {
				return err
			}
			if policy.Risks, err = readRisks(root, accepted, cmd.Flags().Changed("accepted"), policy.Now, days); err != nil {
				return err
			}
			if newFrom != "" {
				if policy.Changed, err = gitdiff.Since(cmd.Context(), root, newFrom); err != nil {
					return fmt.Errorf("--new-from: %w", err)
				}
			}
			var read []*findings.Report
			var invalid, unreachable bool
			for _, name := range reports {
				r, err := scan.readNamed(cmd, name)
				switch {
				case err == nil:
					read = append(read, r)
				case isUnreachable(err):
					unreachable = true
					_ = scan.fail(cmd, name, err)
				default:
					invalid = true
					fmt.Fprintf(cmd.ErrOrStderr(), "slipway: %s: %v\nA report that cannot be used proves nothing, so the gate fails: %s#reports\n", name, err, page)
				}
			}
			decision := verdict.Decide(read, policy)
			if len(read) > 0 {
				decision.Write(cmd.OutOrStdout(), verdict.Advice{Accepted: accepted, Page: page + "#accepted-risks", Now: policy.Now})
			}
			switch {
			case decision.Red():
				return exitError(1)
			case invalid || len(decision.Incomplete) > 0:
				return exitError(2)
			case unreachable || len(decision.Stale) > 0:
				return exitError(3)
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringArrayVar(&reports, "report", nil, "a report, as `FILE` or FORMAT=FILE; repeat for more ("+strings.Join(scanner.Formats(), ", ")+")")
	flags.StringVar(&severity, "min-severity", "medium", "stop at this severity and above: info, low, medium, high, critical")
	flags.StringVar(&confidence, "min-confidence", "low", "stop at this confidence and above: low, medium, high")
	flags.StringVar(&accepted, "accepted", acceptedRisks, "the `FILE` of accepted risks (the default is in the repository's root, and may be missing)")
	flags.IntVar(&days, "max-accept-days", 365, "how far ahead an accepted risk may expire, in days")
	flags.StringVar(&newFrom, "new-from", "", "stop only at findings in lines changed since the branch left `REF`; secrets and dependencies always count")
	flags.IntVar(&databaseDays, "max-database-days", 0, "how old a vulnerability database may be, in days (0: any age)")
	flags.StringVar(&page, "docs", gatesPage(), "the `URL` of the page that messages link to")
	scan.register(command)
	_ = command.MarkFlagRequired("report")
	return command
}

// readNamed reads FILE or FORMAT=FILE.
func (f *scanFlags) readNamed(cmd *cobra.Command, name string) (*findings.Report, error) {
	format, path := "", name
	if before, after, ok := strings.Cut(name, "="); ok && slices.Contains(scanner.Formats(), before) {
		format, path = before, after
	}
	r, _, err := f.read(cmd, format, path)
	return r, err
}

// readRisks reads the accepted risks. A file that was not asked for is looked for in the repository's root, wherever the
// command runs, and may be missing.
func readRisks(root, path string, asked bool, now time.Time, days int) ([]risk.Risk, error) {
	name := path
	if !asked {
		name = filepath.Join(root, path)
	}
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) && !asked {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return risk.Parse(path, data, now, days)
}

func isUnreachable(err error) bool { return errors.Is(err, scanner.ErrUnreachable) }
