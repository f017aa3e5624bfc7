package main

import (
	"os"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"
)

func newEnvCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "env",
		Short: "Print the CI/CD variables that let a pipeline use the platform, as YAML",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := load(nil, os.Stderr)
			if err != nil {
				return err
			}
			variables, err := p.Variables(c.Context())
			if err != nil {
				return err
			}
			encoder := yaml.NewEncoder(os.Stdout)
			encoder.SetIndent(2)
			if err := encoder.Encode(variables); err != nil {
				return err
			}
			return encoder.Close()
		},
	}
}
