package main

import (
	"time"

	"github.com/spf13/cobra"

	"gitlab.com/slipway-ci/slipway/platform/internal/cluster"
	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
	"gitlab.com/slipway-ci/slipway/platform/internal/gateway"
	"gitlab.com/slipway-ci/slipway/platform/internal/ingress"
	"gitlab.com/slipway-ci/slipway/platform/internal/policy"
	"gitlab.com/slipway-ci/slipway/platform/internal/registry"
	"gitlab.com/slipway-ci/slipway/platform/internal/targets"
)

// newServeCommand runs the parts that are implemented by this program; `up` starts them.
func newServeCommand() *cobra.Command {
	c := &cobra.Command{Use: "serve", Short: "Run one part in the foreground", Hidden: true}
	var logs string
	c.PersistentFlags().StringVar(&logs, "logs", "", "folder of logs to keep short")
	c.PersistentPreRun = func(c *cobra.Command, _ []string) {
		if logs != "" {
			go daemon.BoundLogs(c.Context(), logs, 16<<20, 30*time.Second)
		}
	}
	c.AddCommand(newServeRegistryCommand(), newServeGatewayCommand(), newServeIngressCommand(), newServePolicyCommand(), newServeTargetsCommand())
	return c
}

func newServeRegistryCommand() *cobra.Command {
	var address, dir string
	c := &cobra.Command{
		Use:  "registry",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return registry.Serve(c.Context(), address, dir) },
	}
	c.Flags().StringVar(&address, "listen", "127.0.0.1:5050", "loopback address")
	c.Flags().StringVar(&dir, "dir", "", "folder of blobs, manifests and tags")
	return c
}

func newServeGatewayCommand() *cobra.Command {
	var ns, proxy string
	var in, out []string
	c := &cobra.Command{
		Use:  "gateway",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var forwards []gateway.Forward
			for i, text := range append(in, out...) {
				f, err := gateway.Parse(text, i >= len(in))
				if err != nil {
					return err
				}
				forwards = append(forwards, f)
			}
			return gateway.Serve(c.Context(), ns, forwards, proxy)
		},
	}
	c.Flags().StringVar(&ns, "netns", "", "network namespace")
	c.Flags().StringVar(&proxy, "proxy", "", "address inside of an HTTP proxy to the outside")
	c.Flags().StringArrayVar(&in, "in", nil, "LISTEN=DIAL: listen outside, dial inside")
	c.Flags().StringArrayVar(&out, "out", nil, "LISTEN=DIAL: listen inside, dial outside")
	return c
}

func newServeIngressCommand() *cobra.Command {
	var address, dir string
	c := &cobra.Command{
		Use:  "ingress",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			k := &cluster.Cluster{Dir: dir}
			client, err := k.Client("ingress")
			if err != nil {
				return err
			}
			return ingress.Serve(c.Context(), address, "slipway", client, k.Dialer())
		},
	}
	c.Flags().StringVar(&address, "listen", "127.0.0.1:8080", "loopback address")
	c.Flags().StringVar(&dir, "cluster", "", "folder of the cluster's state")
	return c
}

func newServePolicyCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:  "network-policy",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := (&cluster.Cluster{Dir: dir}).Client("network-policy")
			if err != nil {
				return err
			}
			return policy.Serve(c.Context(), cluster.PolicyAddress, client)
		},
	}
	c.Flags().StringVar(&dir, "cluster", "", "folder of the cluster's state")
	return c
}

func newServeTargetsCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:  "targets",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			client, err := (&cluster.Cluster{Dir: dir}).Client(cluster.Prometheus)
			if err != nil {
				return err
			}
			return targets.Serve(c.Context(), cluster.TargetsAddress, client)
		},
	}
	c.Flags().StringVar(&dir, "cluster", "", "folder of the cluster's state")
	return c
}
