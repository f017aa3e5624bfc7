package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/gate/mtime"
)

// newMtimesCommand is `slipway mtimes`: a fresh clone that Go's test cache recognises.
func newMtimesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "mtimes",
		Short: "Set modification times from content, so that Go's test cache survives a clone",
		Long: `Set the modification times of tracked files and directories to values that depend only on their
content.

Go takes a test's result from its cache if the files that the test has opened have the size and
the time that they had. A fresh clone sets all of them to the time of the clone, so tests that read
files are never cached in CI; after this command, they are. Files that are modified are left
alone. The clone has to be in the same directory each time, as it is on GitLab.`,
		Example: `  slipway mtimes && go test ./...`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := mtime.Checkout(cmd.Context(), ".")
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%d files and %d directories have the time of their content; %d modified files were left alone\n", r.Files, r.Dirs, r.Modified)
			return nil
		},
	}
}
