package main

import "github.com/spf13/cobra"

// newCompileCommand is `slipway compile`: the merged configuration.
func newCompileCommand() *cobra.Command {
	var where projectFlags
	var what eventFlags
	var bare bool
	cmd := &cobra.Command{
		Use:   "compile",
		Short: "Print the merged configuration, and where each part comes from",
		Long: `Print the merged configuration: includes read, inputs interpolated, extends and !reference resolved.
It compiles to the same pipelines as the original. Comments name the source of each job, and of its
parts that come from another place.

The event matters only if includes have rules. Exit codes: 0; 1 if the configuration cannot be
merged.`,
		Example: `  slipway compile
  slipway compile --no-comments >merged.yml
  slipway compile --event tag --tag v1.2.3 --input environment=staging`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			project, event, err := what.load(cmd.Context(), &where)
			if err != nil {
				return err
			}
			config, err := project.Config(cmd.Context(), event)
			if err != nil {
				return refused(cmd, err, "text")
			}
			return config.WriteYAML(cmd.OutOrStdout(), !bare)
		},
	}
	where.bind(cmd)
	what.bind(cmd, &where)
	cmd.Flags().BoolVar(&bare, "no-comments", false, "omit the comments")
	return cmd
}
