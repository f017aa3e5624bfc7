package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

func newLogsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "logs PART",
		Short: "Print the log of a part, such as kubelet",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := load(nil, os.Stderr)
			if err != nil {
				return err
			}
			f, err := os.Open(p.LogPath(args[0]))
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("no part %q has a log; there are: %s", args[0], strings.Join(p.Logs(), ", "))
			}
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(os.Stdout, f)
			return err
		},
	}
}
