package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/gate/findings"
	"gitlab.com/slipway-ci/slipway/internal/gate/findings/report"
	"gitlab.com/slipway-ci/slipway/internal/gate/findings/scanner"
	"gitlab.com/slipway-ci/slipway/internal/gate/gitdiff"
)

// newReportCommand is `slipway report SCANNER FILE`: what a scanner has written once, for everybody who reads it.
func newReportCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "report",
		Short: "Turn a scanner's output into the reports that GitLab and SonarQube read",
		Long: `Turn a scanner's output into the reports that GitLab and SonarQube read.

Findings do not make this command fail; "slipway gate" decides about them. It fails (2) if the
input is empty, truncated or from another tool, or names files that are not in the repository, and
with 3 if the scanner could not reach its database.`,
		Args: cobra.NoArgs,
	}
	for _, s := range []struct{ name, short, example string }{
		{"gosec", "gosec -fmt json: GitLab SAST, SARIF, Code Quality, Sonar",
			"gosec -no-fail -track-suppressions -fmt json -out gosec.json ./...\nslipway report gosec gosec.json --gitlab gl-sast-report.json \\\n  --codequality gl-code-quality.json"},
		{"govulncheck", "govulncheck -format json: GitLab dependency scanning, SARIF, Code Quality",
			"govulncheck -format json ./... >govulncheck.json 2>govulncheck.log || true\nslipway report govulncheck govulncheck.json --log govulncheck.log \\\n  --gitlab gl-dependency-scanning-report.json"},
		{"golangci", "golangci-lint --output.json.path: Code Quality with real severities, SARIF, Sonar",
			"golangci-lint run --issues-exit-code 0 --output.json.path golangci.json\nslipway report golangci golangci.json --codequality gl-code-quality.json"},
		{"gitleaks", "gitleaks --report-format json: GitLab secret detection, SARIF",
			"gitleaks git --exit-code 0 --redact --report-format json --report-path gitleaks.json .\nslipway report gitleaks gitleaks.json --gitlab gl-secret-detection-report.json"},
		{"grype", "grype -o json: GitLab container scanning, SARIF",
			"grype -o json IMAGE >grype.json\nslipway report grype grype.json --gitlab gl-container-scanning-report.json"},
	} {
		command.AddCommand(newScannerReportCommand(s.name, s.short, s.example))
	}
	return command
}

func newScannerReportCommand(format, short, example string) *cobra.Command {
	var scan scanFlags
	var gitlab, sarif, codeQuality, sonar string
	command := &cobra.Command{
		Use:     format + " FILE",
		Short:   short,
		Example: "  " + strings.ReplaceAll(example, "\n", "\n  "),
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, modified, err := scan.read(cmd, format, args[0])
			if err != nil {
				return scan.fail(cmd, args[0], err)
			}
			for _, out := range []struct {
				path  string
				write report.Writer
			}{
				{gitlab, report.GitLab(modified, modified)}, {sarif, report.SARIF}, {codeQuality, report.CodeQuality}, {sonar, report.Sonar},
			} {
				if out.path == "" {
					continue
				}
				if err := writeFile(out.path, func(w io.Writer) error { return out.write(w, r) }); err != nil {
					return err
				}
			}
			printSummary(cmd.OutOrStdout(), r)
			for _, p := range r.Problems {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s could not analyze %s:%d: %s\n", r.Tool.ID, p.File, p.Line, p.Text)
			}
			return nil
		},
	}
	flags := command.Flags()
	scan.register(command)
	if format != "golangci" {
		flags.StringVar(&gitlab, "gitlab", "", "write GitLab's security report to `FILE`")
	}
	flags.StringVar(&sarif, "sarif", "", "write SARIF 2.1.0 to `FILE`")
	flags.StringVar(&codeQuality, "codequality", "", "write GitLab's Code Quality report to `FILE`")
	flags.StringVar(&sonar, "sonar", "", "write SonarQube's generic issues (10.3 and newer) to `FILE`")
	return command
}

// scanFlags say how to read a scanner's output.
type scanFlags struct{ root, scanRoot, prefix, log string }

func (f *scanFlags) register(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.root, "root", "", "the repository's root `DIR` (default: the one around the working directory)")
	flags.StringVar(&f.scanRoot, "scan-root", "", "what the root was called where the scanner ran, if it was another `DIR`")
	flags.StringVar(&f.prefix, "prefix", "", "the `DIR` below the root where the scanner ran, for relative paths of a module in a monorepo")
	flags.StringVar(&f.log, "log", "", "the `FILE` with the scanner's standard error; it may say why the report is empty")
}

// read reads a report of a format, or of any if the format is empty, and returns when it was written.
func (f *scanFlags) read(cmd *cobra.Command, format, path string) (*findings.Report, time.Time, error) {
	root, err := repositoryRoot(cmd.Context(), f.root)
	if err != nil {
		return nil, time.Time{}, err
	}
	options := scanner.Options{Paths: scanner.Paths{Root: root, ScanRoot: f.scanRoot, Prefix: f.prefix}}
	if f.log != "" {
		if options.Log, err = os.ReadFile(f.log); err != nil {
			return nil, time.Time{}, err
		}
	}
	if path == "-" {
		r, err := scanner.Read(format, cmd.InOrStdin(), options)
		return r, time.Now(), err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, time.Time{}, err
	}
	r, err := scanner.Read(format, file, options)
	return r, info.ModTime(), err
}

// repositoryRoot is the directory that was asked for, or the repository around the working directory, or, where there is
// none, the working directory.
func repositoryRoot(ctx context.Context, dir string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	if root, err := gitdiff.Root(ctx, "."); err == nil {
		return root, nil
	}
	return os.Getwd()
}

// fail says why a report cannot be used, and ends with 3 if that is the network's fault.
func (f *scanFlags) fail(cmd *cobra.Command, path string, err error) error {
	if !isUnreachable(err) {
		return fmt.Errorf("%s: %w", path, err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "slipway: %s: %v\nNothing was scanned, so nothing is proven. Point the scanner to a mirror that this runner can reach: %s#unreachable\n",
		path, err, gatesPage())
	return exitError(3)
}

// printSummary sums a report up in a line: "gosec: 10 findings (2 high, 6 medium, 2 low), 1 suppressed".
func printSummary(w io.Writer, r *findings.Report) {
	open := r.Open()
	var parts []string
	for s := findings.Critical; s >= findings.Info; s-- {
		n := 0
		for _, f := range open {
			if f.Severity == s {
				n++
			}
		}
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	text := fmt.Sprintf("%s: %d findings", r.Tool.ID, len(open))
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	if n := len(r.Findings) - len(open); n > 0 {
		text += fmt.Sprintf(", %d suppressed", n)
	}
	fmt.Fprintln(w, text)
}
