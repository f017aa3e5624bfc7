package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline/matrix"
)

// newMatrixCommand is `slipway matrix`: jobs by events.
func newMatrixCommand() *cobra.Command {
	var where projectFlags
	var names, changed []string
	var check, update string
	format := newFormat("text", "markdown", "json")
	cmd := &cobra.Command{
		Use:   "matrix",
		Short: "Show which jobs exist on which events, and compare that with a golden file",
		Long: `Show which jobs exist on which events, and compare that with a golden file.

A golden file is text, or JSON if it is named *.json, as --update writes it. Exit codes: 0; 1 if
--check finds a difference.`,
		Example: `  slipway matrix
  slipway matrix --event push --event mr
  slipway matrix --format markdown >docs/jobs.md
  slipway matrix --update testdata/matrix.golden
  slipway matrix --check testdata/matrix.golden`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			project, err := where.open(cmd.Context())
			if err != nil {
				return err
			}
			events, err := where.events(cmd.Context(), names, changed)
			if err != nil {
				return err
			}
			m, err := matrix.Build(cmd.Context(), project, events)
			if err != nil {
				return err
			}
			if check != "" {
				if err = checkGolden(cmd.OutOrStdout(), check, m); err != nil {
					printErrors(cmd, m.Errors)
				}
				return err
			}
			printErrors(cmd, m.Errors)
			if update != "" {
				return updateGolden(update, m)
			}
			text := m.Text
			switch format.value {
			case "markdown":
				text = m.Markdown
			case "json":
				text = m.JSON
			}
			_, err = io.WriteString(cmd.OutOrStdout(), text())
			return err
		},
	}
	where.bind(cmd)
	format.bind(cmd)
	flags := cmd.Flags()
	flags.StringArrayVarP(&names, "event", "e", nil, "only this `EVENT`: a name of \"slipway events\", or a source as for plan (repeatable)")
	flags.StringSliceVar(&changed, "changed", nil, "`PATH` that every push and merge request changes (repeatable; default: none)")
	flags.StringVar(&check, "check", "", "compare with this golden `FILE`; print the differences and exit with 1 if there are any")
	flags.StringVar(&update, "update", "", "write the golden `FILE`")
	cmd.MarkFlagsMutuallyExclusive("check", "update", "format")
	_ = cmd.RegisterFlagCompletionFunc("event", completeEvents)
	return cmd
}

func golden(path string, m *matrix.Matrix) string {
	if strings.EqualFold(filepath.Ext(path), ".json") {
		return m.JSON()
	}
	return m.Text()
}

func updateGolden(path string, m *matrix.Matrix) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the golden file: %w", err)
	}
	if err := os.WriteFile(path, []byte(golden(path, m)), 0o644); err != nil {
		return fmt.Errorf("write the golden file: %w", err)
	}
	return nil
}

func checkGolden(w io.Writer, path string, got *matrix.Matrix) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no golden file %s; `slipway matrix --update %s` writes it", path, path)
	}
	if err != nil {
		return fmt.Errorf("read the golden file: %w", err)
	}
	data = bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
	if string(data) == golden(path, got) {
		return nil
	}
	want, err := matrix.Parse(data)
	if err != nil {
		return fmt.Errorf("%s is not a matrix; `slipway matrix --update %s` writes one: %w", path, path, err)
	}
	differences := matrix.Compare(want, got)
	if len(differences) == 0 {
		differences = []string{"~ the same matrix, written differently"}
	}
	fmt.Fprintf(w, "%s differs from what the configuration produces:\n", path)
	for _, line := range differences {
		fmt.Fprintln(w, "  "+line)
	}
	fmt.Fprintf(w, "If that is meant: slipway matrix --update %s\n", path)
	return exitError(1)
}
