package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/docs"
)

// newDocsCommand is `slipway docs`.
func newDocsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "docs PAGE",
		Short:   "Print the address of a page of the documentation",
		Long:    "Print the address of a page of the documentation, as the messages of jobs link to it.",
		Example: `  slipway docs stages/lint.md`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), docs.Page(args[0]))
			return err
		},
	}
}
