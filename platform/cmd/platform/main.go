// Command platform runs the services that a pipeline needs on one machine: an OCI registry, PostgreSQL and Kubernetes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/platform"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "platform:", err)
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "platform",
		Short:         "Registry, PostgreSQL and Kubernetes on one machine, on loopback only",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(newUpCommand(), newDownCommand(), newStatusCommand(), newEnvCommand(), newBinCommand(), newLogsCommand(),
		newKubectlCommand(), newDepsCommand(), newServeCommand())
	return root
}

// load returns the platform of this environment; its messages go to standard error if standard output is the command's
// result.
func load(flags map[string]string, out *os.File) (*platform.Platform, error) {
	c, err := platform.Load(os.Getenv, flags)
	if err != nil {
		return nil, err
	}
	return platform.New(c, out), nil
}
