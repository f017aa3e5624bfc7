package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/platform"
)

func newStatusCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Report whether each part is healthy; exit 0 only if all are",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := load(nil, os.Stderr)
			if err != nil {
				return err
			}
			parts := p.Status(c.Context())
			if asJSON {
				encoder := json.NewEncoder(os.Stdout)
				encoder.SetIndent("", "  ")
				err = encoder.Encode(parts)
			} else {
				err = printStatus(parts)
			}
			if slices.ContainsFunc(parts, func(s platform.PartStatus) bool { return !s.Healthy }) {
				err = errors.Join(err, errors.New("not everything is healthy; `platform up` heals it"))
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "write a list of objects")
	return c
}

func printStatus(parts []platform.PartStatus) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PART\tPID\tADDRESS\tHEALTH")
	for _, s := range parts {
		pid, health := "-", "healthy"
		if s.PID != 0 {
			pid = strconv.Itoa(s.PID)
		}
		if !s.Healthy {
			health = "NOT HEALTHY: " + s.Why
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Part, pid, s.Address, health)
	}
	return w.Flush()
}
