package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// newCleanCommand is `slipway clean`: away with what runs have left.
func newCleanCommand() *cobra.Command {
	var options runner.CleanOptions
	command := &cobra.Command{
		Use:   "clean",
		Short: "Remove the runs of this project and their files",
		Long: `Remove the runs of this project from .slipway/runs, with their logs and artifacts, and checkouts
that killed runs have left in the cache folder. Runs in progress stay, and those that wait for a
person, unless --waiting is given.`,
		Example: `  slipway clean
  slipway clean --waiting --caches`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			removed, err := runner.Clean(options)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "Removed %s\n", runsOf(len(removed)))
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVarP(&options.Dir, "directory", "C", ".", "`FOLDER` of the project")
	flags.StringVar(&options.CacheDir, "cache-dir", "", "`DIR` for tools, caches and checkouts (default: slipway in the user's cache folder)")
	flags.BoolVar(&options.Waiting, "waiting", false, "remove also runs that wait for a person")
	flags.BoolVar(&options.Caches, "caches", false, "remove also the caches of the jobs")
	_ = command.MarkFlagDirname("directory")
	_ = command.MarkFlagDirname("cache-dir")
	return command
}

func runsOf(n int) string {
	if n == 1 {
		return "1 run"
	}
	return fmt.Sprintf("%d runs", n)
}
