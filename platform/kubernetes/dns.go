package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/coredns/caddy"
	_ "github.com/coredns/coredns/core/dnsserver"     // the server type "dns"
	_ "github.com/coredns/coredns/plugin/bind"        // the address to listen at
	_ "github.com/coredns/coredns/plugin/cache"       // answers are kept for their time
	_ "github.com/coredns/coredns/plugin/errors"      // errors are logged
	_ "github.com/coredns/coredns/plugin/health"      // is it alive?
	_ "github.com/coredns/coredns/plugin/kubernetes"  // names of services and pods
	_ "github.com/coredns/coredns/plugin/loadbalance" // the order of addresses turns
	_ "github.com/coredns/coredns/plugin/ready"       // has it listed the cluster's services?
	_ "github.com/coredns/coredns/plugin/template"    // every other name does not exist
)

// coredns serves the cluster's names with the few plugins that a cluster without an uplink needs: there is nobody to
// forward to.
func coredns() {
	flags := flag.NewFlagSet("coredns", flag.ExitOnError)
	path := flags.String("conf", "Corefile", "configuration")
	_ = flags.Parse(os.Args[1:]) // exits on an error
	if err := serveDNS(*path); err != nil {
		fmt.Fprintln(os.Stderr, "coredns:", err)
		os.Exit(1)
	}
}

func serveDNS(path string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	caddy.AppName = "coredns"
	caddy.TrapSignals()
	instance, err := caddy.Start(caddy.CaddyfileInput{Contents: content, Filepath: path, ServerTypeName: "dns"})
	if err != nil {
		return err
	}
	instance.Wait()
	return nil
}
