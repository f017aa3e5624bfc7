package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline/lint"
)

// newLintCommand is `slipway lint`: everything that is wrong with a configuration, at once.
func newLintCommand() *cobra.Command {
	var where projectFlags
	var disable []string
	var strict, listRules bool
	format := newFormat("text", "json", "sarif", "codequality")
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Tell everything that is wrong with the configuration, and the pitfalls in it",
		Long: `Tell everything that is wrong with the configuration, and the pitfalls in it.

The configuration is compiled for every standard event, so that what only tags or merge requests meet is found, too; the
templates in templates/ are read as well, and the scripts of all jobs are parsed as bash does.

A rule can be switched off by --disable ID, by a comment "# slipway:disable=ID" on or above the line (it holds for the
block that begins there), or by "# slipway:disable-file=ID". Exit codes: 0 no error; 1 errors, or, with --strict, warnings.`,
		Example: `  slipway lint
  slipway lint --strict --disable image-not-pinned
  slipway lint --format codequality >gl-code-quality-report.json
  slipway lint --list-rules`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			out := cmd.OutOrStdout()
			if listRules {
				return writeRules(out)
			}
			project, err := where.open(cmd.Context())
			if err != nil {
				return err
			}
			files, err := where.files(cmd.Context())
			if err != nil {
				return err
			}
			findings, err := lint.Run(cmd.Context(), files, project, lint.Options{Disable: disable, ConfigPath: where.config})
			if err != nil {
				return err
			}
			switch format.value {
			case "json":
				err = lint.JSON(out, findings)
			case "sarif":
				err = lint.SARIF(out, findings)
			case "codequality":
				err = lint.CodeQuality(out, findings)
			default:
				err = lint.Text(out, findings, palette(out))
			}
			if err != nil {
				return err
			}
			if lint.Errors(findings) > 0 || strict && len(findings) > 0 {
				return exitError(1)
			}
			return nil
		},
	}
	where.bind(cmd)
	format.bind(cmd)
	flags := cmd.Flags()
	flags.StringSliceVar(&disable, "disable", nil, "`ID` of a rule to switch off (repeatable)")
	flags.BoolVar(&strict, "strict", false, "exit with 1 on warnings, too")
	flags.BoolVar(&listRules, "list-rules", false, "list the rules: id, what is found, why it matters")
	_ = cmd.RegisterFlagCompletionFunc("disable", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var ids []string
		for _, rule := range lint.Rules() {
			ids = append(ids, cobra.CompletionWithDesc(rule.ID, rule.Summary))
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func writeRules(w io.Writer) error {
	color := palette(w)
	for _, rule := range lint.Rules() {
		if _, err := fmt.Fprintf(w, "%s (%s)\n    finds: %s\n    why:   %s\n", color.Bold(rule.ID), rule.Severity, rule.Summary, rule.Why); err != nil {
			return err
		}
	}
	return nil
}
