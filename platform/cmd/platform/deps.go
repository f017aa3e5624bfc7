package main

import (
	"os"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/platform"
)

func newDepsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "deps [PACKAGE...]",
		Short: "Install the system packages that the platform needs, and those named",
		RunE: func(c *cobra.Command, args []string) error {
			return platform.InstallAll(c.Context(), args, os.Stdout)
		},
	}
}
