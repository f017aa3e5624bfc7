package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func newBinCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "bin",
		Short: "Print the folder with kubectl, for PATH",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := load(nil, os.Stderr)
			if err != nil {
				return err
			}
			fmt.Println(p.Bin())
			return nil
		},
	}
}
