package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// newVersionCommand is `slipway version`.
func newVersionCommand() *cobra.Command {
	output := newFormat("text", "json")
	command := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Example: `  slipway version
  slipway version --format json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output.value == "json" {
				return writeJSON(cmd.OutOrStdout(), map[string]string{"version": version(), "go": runtime.Version(), "os": runtime.GOOS, "arch": runtime.GOARCH})
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), versionText())
			return err
		},
	}
	output.bind(command)
	return command
}

// versionText is what `slipway version` and `slipway --version` print.
func versionText() string {
	return fmt.Sprintf("slipway %s (%s, %s/%s)\n", version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// version is what the Go command has written into the binary: a released version, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "devel " + s.Value[:min(12, len(s.Value))]
		}
	}
	return "devel"
}
