package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/internal/gate/gotest"
)

// newTimingsCommand is `slipway timings`: what `slipway shard` goes by next time.
func newTimingsCommand() *cobra.Command {
	var file string
	command := &cobra.Command{
		Use:   "timings EVENTS...",
		Short: "Record how long packages took, for slipway shard",
		Long: `Record how long packages took, for slipway shard.

EVENTS are files of "gotestsum --jsonfile" or "go test -json", from any number of jobs. Packages
that they do not mention, or whose result came from the cache, keep their time.`,
		Example: "  slipway timings --file timings.json events-*.json",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			known, err := loadTimings(file)
			if err != nil {
				return err
			}
			for _, name := range args {
				events, err := os.Open(name)
				if err != nil {
					return err
				}
				measured, err := gotest.ReadTimings(events)
				events.Close()
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				maps.Copy(known, measured)
			}
			if err := writeFile(file, func(w io.Writer) error {
				e := json.NewEncoder(w)
				e.SetIndent("", "  ")
				return e.Encode(known)
			}); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: %d packages\n", file, len(known))
			return nil
		},
	}
	command.Flags().StringVar(&file, "file", "timings.json", "the `FILE` to update")
	return command
}
