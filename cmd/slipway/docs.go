package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

// documentation is the address of the folder docs/ that messages link to. The tools image of a mirror is built with the mirror's:
// -ldflags "-X main.documentation=https://gitlab.example.com/platform/slipway/-/blob/main/docs".
var documentation = "https://gitlab.com/slipway-ci/slipway/-/blob/main/docs"

// docsPage returns the address of a page of docs/.
func docsPage(name string) string { return documentation + "/" + name }

// newDocsCommand is `slipway docs`.
func newDocsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "docs PAGE",
		Short:   "Print the address of a page of the documentation",
		Long:    "Print the address of a page of the documentation, as the messages of jobs link to it.",
		Example: `  slipway docs stages/lint.md`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), docsPage(args[0]))
			return err
		},
	}
}
