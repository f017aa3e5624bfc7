package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/lint"
)

// defaultBaseline is the file of accepted findings if none is named.
const defaultBaseline = ".slipway-baseline.json"

// lintFlags say what `slipway lint` checks and how it reports.
type lintFlags struct {
	where                 projectFlags
	events, disable       []string
	baseline, gitlab      string
	writeBaseline, online bool
	strict, listRules     bool
	format                *format
	settings              lint.Settings
	known                 int
}

// newLintCommand is `slipway lint`: errors and pitfalls of a configuration.
func newLintCommand() *cobra.Command {
	f := lintFlags{format: newFormat("text", "json", "sarif", "codequality")}
	cmd := &cobra.Command{
		Use:   "lint",
		Short: "Report errors and known pitfalls of the configuration",
		Long: `Report errors and known pitfalls of the configuration.

The configuration is compiled for every standard event, so that what only tags or merge
requests meet is found, too; --event restricts that. The templates in templates/ are read
as well, and the scripts of all jobs are parsed as bash does.

A rule is switched off by --disable ID; by "lint: rules: {ID: off}" in .slipway.yml, which
can also set it to error or warning; by a comment "# slipway:disable=ID" on or above the
line (it holds for the block that begins there); or by "# slipway:disable-file=ID".

A baseline holds the present findings, so that only new ones are reported:
--write-baseline writes it, --baseline FILE (or "lint: baseline:" in .slipway.yml) names it.

With --online, the CI lint API of the project's GitLab is asked as well, and differences in
the verdict, the merged configuration or the jobs are reported. The token comes from
SLIPWAY_TOKEN or GITLAB_TOKEN (scope api). GitLab reads included local files from the default
branch.

Exit codes: 0 no error; 1 errors, or, with --strict, warnings; 2 the check could not run.`,
		Example: `  slipway lint
  slipway lint --strict --disable image-not-pinned
  slipway lint --event mr --event push-default
  slipway lint --write-baseline
  slipway lint --format codequality >gl-code-quality-report.json
  slipway lint --list-rules`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd) },
	}
	f.where.bind(cmd)
	f.format.bind(cmd)
	flags := cmd.Flags()
	flags.StringArrayVarP(&f.events, "event", "e", nil, "only this `EVENT` of \"slipway events\" (repeatable)")
	flags.StringSliceVar(&f.disable, "disable", nil, "`ID` of a rule to switch off (repeatable)")
	flags.StringVar(&f.baseline, "baseline", "", "`FILE` with accepted findings, which are not reported")
	flags.BoolVar(&f.writeBaseline, "write-baseline", false, "accept the current findings in the baseline (default file: "+defaultBaseline+")")
	flags.BoolVar(&f.online, "online", false, "compare with the CI lint API of the project's GitLab")
	flags.StringVar(&f.gitlab, "gitlab-url", "", "with --online: `URL` of the GitLab instance (default: https://HOST of --host)")
	flags.BoolVar(&f.strict, "strict", false, "exit with 1 on warnings, too")
	flags.BoolVar(&f.listRules, "list-rules", false, "list the rules: id, severity, what is reported, and why it matters")
	cmd.MarkFlagsMutuallyExclusive("write-baseline", "event")
	_ = cmd.MarkFlagFilename("baseline", "json")
	_ = cmd.RegisterFlagCompletionFunc("event", completeEvents)
	_ = cmd.RegisterFlagCompletionFunc("disable", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var ids []string
		for _, rule := range lint.Rules() {
			ids = append(ids, cobra.CompletionWithDesc(rule.ID, rule.Summary))
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func (f *lintFlags) run(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	if f.listRules {
		return f.writeRules(out)
	}
	project, err := f.where.open(cmd.Context())
	if err != nil {
		return err
	}
	files, err := f.where.files(cmd.Context())
	if err != nil {
		return err
	}
	events, err := f.where.events(cmd.Context(), f.events, nil)
	if err != nil {
		return err
	}
	if f.settings, err = readLintSettings(files); err != nil {
		return err
	}
	findings, err := lint.Run(cmd.Context(), files, project, lint.Options{
		Events: events, Disable: f.disable, Settings: f.settings, ConfigPath: f.where.config, Incomplete: f.where.includes.skip,
	})
	var unknown *lint.UnknownRuleError
	if errors.As(err, &unknown) {
		return withNearestRule(unknown)
	}
	if err != nil {
		return err
	}
	if f.writeBaseline {
		return f.writeBaselineFile(out, findings)
	}
	if findings, err = f.withoutBaseline(cmd, findings); err != nil {
		return err
	}
	if f.online {
		differences, err := f.askGitLab(cmd.Context(), files, project)
		if err != nil {
			return err
		}
		findings = append(differences, findings...)
	}
	if err := f.write(out, findings); err != nil {
		return err
	}
	if lint.Errors(findings) > 0 || f.strict && len(findings) > 0 {
		return exitError(1)
	}
	return nil
}

// withNearestRule adds to an error what may have been meant.
func withNearestRule(err *lint.UnknownRuleError) error {
	var ids []string
	for _, rule := range lint.Rules() {
		ids = append(ids, rule.ID)
	}
	if near := spelling.Closest(err.ID, ids); near != "" {
		return fmt.Errorf("%w; did you mean %q?", err, near)
	}
	return fmt.Errorf("%w; `slipway lint --list-rules` lists the rules", err)
}

func (f *lintFlags) write(out io.Writer, findings []lint.Finding) error {
	switch f.format.value {
	case "json":
		return lint.JSON(out, findings)
	case "sarif":
		return lint.SARIF(out, findings, version())
	case "codequality":
		return lint.CodeQuality(out, findings)
	}
	return lint.Text(out, findings, f.known, palette(out))
}

// baselinePath returns the file of the baseline, and whether it was asked for. The flag is relative to the working directory, the
// setting to the project.
func (f *lintFlags) baselinePath() (path string, named bool) {
	switch {
	case f.baseline != "":
		return f.baseline, true
	case f.settings.Baseline != "":
		return filepath.Join(f.where.dir, f.settings.Baseline), true
	}
	return filepath.Join(f.where.dir, defaultBaseline), false
}

func (f *lintFlags) writeBaselineFile(out io.Writer, findings []lint.Finding) error {
	path, named := f.baselinePath()
	var text bytes.Buffer
	accepted, err := lint.WriteBaseline(&text, findings)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write the baseline: %w", err)
	}
	fmt.Fprintf(out, "%s: %d findings accepted\n", path, accepted)
	if !named {
		fmt.Fprintf(out, "To use it always, write into .slipway.yml: lint: {baseline: %s}\n", defaultBaseline)
	}
	if n := len(findings) - accepted; n > 0 {
		fmt.Fprintf(out, "%d errors cannot be accepted, because GitLab refuses the configuration; slipway lint shows them\n", n)
		return exitError(1)
	}
	return nil
}

func (f *lintFlags) withoutBaseline(cmd *cobra.Command, findings []lint.Finding) ([]lint.Finding, error) {
	path, named := f.baselinePath()
	if !named {
		return findings, nil
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no baseline %s; `slipway lint --write-baseline` writes one", path)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	baseline, err := lint.ReadBaseline(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	left, fixed := baseline.New(findings)
	f.known = len(findings) - len(left)
	if fixed > 0 && len(f.events) == 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "slipway: %d findings of the baseline are fixed; --write-baseline removes them from it\n", fixed)
	}
	return left, nil
}

// askGitLab compares with the project's GitLab, whose token comes from the environment.
func (f *lintFlags) askGitLab(ctx context.Context, files fs.FS, project *pipeline.Project) ([]lint.Finding, error) {
	token := cmp.Or(os.Getenv("SLIPWAY_TOKEN"), os.Getenv("GITLAB_TOKEN"))
	switch {
	case token == "":
		return nil, errors.New("--online needs a token of GitLab with the scope api in SLIPWAY_TOKEN or GITLAB_TOKEN")
	case !f.where.knownPath || f.gitlab == "" && !f.where.knownHost:
		return nil, errUnknownProject
	}
	gitlab := lint.GitLab{URL: f.gitlab, Project: f.where.path, Token: token}
	if gitlab.URL == "" {
		gitlab.URL = cmp.Or(f.where.protocol, "https") + "://" + f.where.host
	}
	return lint.Online(ctx, files, project, gitlab, f.where.config)
}

// readLintSettings returns the section lint of the project's .slipway.yml; the zero value if there is none.
func readLintSettings(files fs.FS) (lint.Settings, error) {
	const name = ".slipway.yml"
	var file struct {
		Lint lint.Settings  `yaml:"lint"`
		Rest map[string]any `yaml:",inline"`
	}
	data, err := fs.ReadFile(files, name)
	if errors.Is(err, fs.ErrNotExist) {
		return file.Lint, nil
	}
	if err != nil {
		return file.Lint, err
	}
	if data, err = withoutFlags(data, "lint"); err != nil {
		return file.Lint, fmt.Errorf("%s%s", name, yamlErrorText(err))
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return file.Lint, fmt.Errorf("%s%s", name, yamlErrorText(err))
	}
	return file.Lint, nil
}

func (f *lintFlags) writeRules(w io.Writer) error {
	if f.format.value == "json" {
		return lint.RulesJSON(w)
	}
	color := palette(w)
	for _, rule := range lint.Rules() {
		if _, err := fmt.Fprintf(w, "%s (%s)\n    reports: %s\n    because: %s\n    %s\n", color.Bold(rule.ID), rule.Severity, rule.Summary, rule.Why, color.Dim(rule.URL())); err != nil {
			return err
		}
	}
	return nil
}
