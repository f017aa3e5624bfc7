package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/gate/coverage"
	"gitlab.com/slipway-ci/slipway/internal/gate/gitdiff"
)

// newCoverageCommand is `slipway coverage`: profiles in, one number out, and whether it is enough.
func newCoverageCommand() *cobra.Command {
	var c coverageGate
	command := &cobra.Command{
		Use:   "coverage PROFILE|DIR...",
		Short: "Merge coverage profiles, and check a minimum in total and for the changed lines",
		Long: `Merge coverage profiles, and check a minimum in total and for the changed lines.

A PROFILE is what "go test -coverprofile" writes; a DIR is what GOCOVERDIR named for a program
built with "go build -cover". The total is printed as "total:    (statements)    87.3%", which
GitLab reads with coverage: '/total:\s+\(statements\)\s+\d+.\d+%/'. Files marked "Code generated
... DO NOT EDIT." do not count.

Exit codes: 0 enough; 1 not enough; 2 the profiles cannot be used.`,
		Example: "  slipway coverage unit.out integration/ --min 80 --cobertura coverage.xml\n  slipway coverage unit.out --changed-min 80 --base origin/main",
		Args:    cobra.MinimumNArgs(1),
		RunE:    c.run,
	}
	flags := command.Flags()
	flags.Float64Var(&c.min, "min", 0, "minimum `PERCENT` of all statements")
	flags.Float64Var(&c.changedMin, "changed-min", 0, "minimum `PERCENT` of the changed lines that have code; needs --base")
	flags.StringVar(&c.base, "base", "", "the `REF` that the change is to be merged into; history is fetched if the clone is shallow")
	flags.StringArrayVar(&c.exclude, "exclude", nil, "exclude files that match `GLOB`, relative to the root (** for directories) or by name; repeatable")
	flags.StringVar(&c.cobertura, "cobertura", "", "write a Cobertura report to `FILE`, for artifacts:reports:coverage_report")
	flags.StringVar(&c.profile, "profile", "", "write the merged profile to `FILE`, for go tool cover and SonarQube")
	flags.StringVar(&c.root, "root", "", "the repository's root `DIR` (default: the one around the working directory)")
	flags.StringVar(&c.page, "docs", gatesPage(), "the `URL` of the page that messages link to")
	command.AddCommand(newCoverageVerifyCommand())
	return command
}

type coverageGate struct {
	min, changedMin                      float64
	base, cobertura, profile, root, page string
	exclude                              []string
}

func (c *coverageGate) run(cmd *cobra.Command, args []string) error {
	if c.changedMin > 0 && c.base == "" {
		return errors.New("--changed-min needs --base, the branch that the change is to be merged into")
	}
	root, err := repositoryRoot(cmd.Context(), c.root)
	if err != nil {
		return err
	}
	merged, err := readProfiles(cmd, args)
	if err != nil {
		return err
	}
	p, left, err := coverage.Locate(root, merged, c.exclude)
	if err != nil {
		return err
	}
	if c.profile != "" {
		if err := writeFile(c.profile, p.Write); err != nil {
			return err
		}
	}
	if c.cobertura != "" {
		if err := writeFile(c.cobertura, func(w io.Writer) error { return p.WriteCobertura(w, root, time.Now()) }); err != nil {
			return err
		}
		if _, err := coverage.VerifyCobertura(c.cobertura, root); err != nil {
			return err
		}
	}
	out := cmd.OutOrStdout()
	if n := len(left.Generated) + len(left.Excluded) + len(left.Foreign); n > 0 {
		fmt.Fprintf(out, "left out: %d generated, %d excluded, %d of other modules\n", len(left.Generated), len(left.Excluded), len(left.Foreign))
	}
	total := p.Total()
	fmt.Fprintf(out, "total:\t(statements)\t%.1f%%\n", total.Percent())
	red := false
	if c.base != "" {
		set, err := gitdiff.Since(cmd.Context(), root, c.base)
		if err != nil {
			return err
		}
		changed, err := coverage.OfChanges(root, p, set, c.exclude)
		if err != nil {
			return err
		}
		red = c.printChanged(out, changed)
	}
	if !total.Reaches(c.min) {
		red = true
		missing := int(c.min/100*float64(total.All)+0.999999) - total.Covered
		fmt.Fprintf(out, "\nCoverage is too low: %d of %d statements (%.1f%%), the minimum is %g%%; %d more are needed.\n",
			total.Covered, total.All, total.Percent(), c.min, missing)
		fmt.Fprintln(out, "How to fix:    go test -coverprofile=c.out -coverpkg=./... ./... && go tool cover -html=c.out shows what no test runs.")
		fmt.Fprintln(out, "How to accept: lower the minimum where the pipeline sets it, in a separate change; exclude what is generated.")
		fmt.Fprintf(out, "More:          %s#coverage\n", c.page)
	}
	if red {
		return exitError(1)
	}
	return nil
}

// printChanged lists what is not covered of a change, and reports whether that is too much.
func (c *coverageGate) printChanged(w io.Writer, changed *coverage.Changed) (red bool) {
	if changed.Lines.All == 0 {
		fmt.Fprintln(w, "changed lines: none has code")
		return false
	}
	fmt.Fprintf(w, "changed lines: %d of %d covered (%.1f%%)\n", changed.Lines.Covered, changed.Lines.All, changed.Lines.Percent())
	const shown = 50
	for i, s := range changed.Uncovered {
		if i == shown {
			fmt.Fprintf(w, "  and %d more places\n", len(changed.Uncovered)-shown)
			break
		}
		text := "not covered"
		if s.Unmeasured {
			text = "not measured: no test run included the package (go test -coverpkg=./...)"
		}
		fmt.Fprintf(w, "  %s  %s\n", s, text)
	}
	if changed.Lines.Reaches(c.changedMin) {
		return false
	}
	fmt.Fprintf(w, "\nCoverage of the changed lines is too low: %.1f%%, the minimum is %g%%.\n", changed.Lines.Percent(), c.changedMin)
	fmt.Fprintln(w, "How to fix:    write a test that runs the lines above.")
	fmt.Fprintln(w, "How to accept: lower the minimum of changed lines where the pipeline sets it, in a separate change; exclude what is generated.")
	fmt.Fprintf(w, "More:          %s#coverage\n", c.page)
	return true
}

// readProfiles merges files and directories.
func readProfiles(cmd *cobra.Command, args []string) (*coverage.Profile, error) {
	var profiles []*coverage.Profile
	var dirs []string
	for _, name := range args {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			dirs = append(dirs, name)
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		p, err := coverage.Read(file)
		file.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		profiles = append(profiles, p)
	}
	if len(dirs) > 0 {
		p, empty, err := coverage.ReadBinary(cmd.Context(), dirs...)
		if err != nil {
			return nil, err
		}
		for _, dir := range empty {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s has no coverage data\n", dir)
		}
		profiles = append(profiles, p)
	}
	return coverage.Merge(profiles...), nil
}

// writeFile makes a file, with its directory, and keeps the first error.
func writeFile(path string, write func(io.Writer) error) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := write(file); err != nil {
		file.Close()
		return fmt.Errorf("%s: %w", path, err)
	}
	return file.Close()
}

// newCoverageVerifyCommand is `slipway coverage verify`, for Cobertura reports that other tools have written.
func newCoverageVerifyCommand() *cobra.Command {
	var root string
	command := &cobra.Command{
		Use:   "verify COBERTURA...",
		Short: "Check that GitLab will find the files of Cobertura reports",
		Long: `Check that GitLab will find the files of Cobertura reports.

GitLab silently drops files that it does not find, reports over 10 MiB, and sources past the
hundredth.`,
		Example: `  slipway coverage verify coverage.xml`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			root, err := repositoryRoot(cmd.Context(), root)
			if err != nil {
				return err
			}
			for _, name := range args {
				n, err := coverage.VerifyCobertura(name, root)
				if err != nil {
					fmt.Fprintf(cmd.ErrOrStderr(), "%v\nMore: %s#coverage\n", err, gatesPage())
					return exitError(1)
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s: %d files, all in the repository\n", name, n)
			}
			return nil
		},
	}
	command.Flags().StringVar(&root, "root", "", "the repository's root `DIR` (default: the one around the working directory)")
	return command
}
