package main

import (
	"os"

	"github.com/spf13/cobra"
)

func newDownCommand() *cobra.Command {
	var purge bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop everything; data stays unless --purge is given",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := load(nil, os.Stdout)
			if err != nil {
				return err
			}
			return p.Down(c.Context(), purge)
		},
	}
	c.Flags().BoolVar(&purge, "purge", false, "also delete images, databases and the cluster's objects")
	return c
}
