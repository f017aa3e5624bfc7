package command

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"gitlab.com/slipway-ci/slipway/service/config"
)

// healthTimeout is longer than a healthy response takes and shorter than a container runtime waits.
const healthTimeout = time.Second

// healthcheck checks the instance on this machine, for container runtimes that run a command without a shell.
func healthcheck(source config.Source) error {
	loaded, err := source.Load()
	if err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeout(context.Background(), healthTimeout)
	defer cancel()
	url := "http://" + reachable(loaded.Admin.Addr) + "/healthz"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // nothing is read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s responds with %s", url, response.Status)
	}
	return nil
}

// reachable returns an address to call for one to listen on: all interfaces include loopback.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
