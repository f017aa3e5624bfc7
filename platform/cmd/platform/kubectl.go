package main

import (
	"os"
	"syscall"

	"github.com/spf13/cobra"
)

func newKubectlCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl ...",
		Short:              "Run kubectl as the cluster's administrator",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := load(nil, os.Stderr)
			if err != nil {
				return err
			}
			path, kubeconfig, err := p.Kubectl()
			if err != nil {
				return err
			}
			if err := os.Setenv("KUBECONFIG", kubeconfig); err != nil {
				return err
			}
			return syscall.Exec(path, append([]string{"kubectl"}, args...), os.Environ())
		},
	}
}
