package main

import (
	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/supervise"
)

// superviseCommand is the command with which slipway starts itself between a run and a job.
const superviseCommand = "supervise"

func newSuperviseCommand() *cobra.Command {
	return &cobra.Command{
		Use:                superviseCommand,
		Short:              "Run a command so that no process outlives it (slipway starts its jobs with it)",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if code := supervise.Main(args); code != 0 {
				return exitError(code)
			}
			return nil
		},
	}
}
