package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gitlab.com/slipway-ci/slipway/platform"
)

func newUpCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "up",
		Short: "Bring up what is missing and heal what is broken",
		Long: `Bring up what is missing and heal what is broken.

The choices are kept: a later command without flags means the same platform. With KUBECONFIG set, no cluster and no
database are started and the tenants' namespaces are made in that cluster; with CI_REGISTRY set, no registry is started.`,
		Args: cobra.NoArgs,
	}
	for _, s := range platform.Settings() {
		if s.Flag == "tenant" || s.Flag == "with" {
			c.Flags().StringSlice(s.Flag, nil, s.Usage+" ["+s.Env+"]")
			continue
		}
		c.Flags().String(s.Flag, "", s.Usage+" ["+s.Env+"]")
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		p, err := load(given(c.Flags()), os.Stdout)
		if err != nil {
			return err
		}
		return p.Up(c.Context())
	}
	return c
}

// given are the flags on the command line.
func given(flags *pflag.FlagSet) map[string]string {
	values := map[string]string{}
	flags.Visit(func(f *pflag.Flag) {
		values[f.Name] = f.Value.String()
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values[f.Name] = strings.Join(list.GetSlice(), ",")
		}
	})
	return values
}
