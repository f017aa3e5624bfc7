package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"gitlab.com/slipway-ci/slipway/platform/internal/netns"
)

// network creates the namespace: loopback, and a veth pair whose one end has the node's address. It has no route to the outside, so
// connections of pods to the internet fail immediately.
func (c *Cluster) network(ctx context.Context) (bool, error) {
	if netns.Exists(c.NetNS()) {
		return false, nil
	}
	// Processes of a namespace that no longer exists, after a reboot or an interrupted down, do not work in a new one.
	if err := c.Stop(); err != nil {
		return false, err
	}
	if err := netns.Create(c.NetNS()); err != nil {
		return false, err
	}
	err := netns.Do(c.NetNS(), func() error {
		for _, args := range [][]string{
			{"link", "set", "lo", "up"},
			{"link", "add", "node0", "type", "veth", "peer", "name", "node0-peer"},
			{"address", "add", NodeAddress + "/24", "dev", "node0"},
			{"link", "set", "node0", "up"},
			{"link", "set", "node0-peer", "up"},
			// A route must exist when a process of the node dials a service; kube-proxy rewrites the address.
			{"route", "add", services, "dev", "node0"},
			{"route", "add", "unreachable", "default"},
		} {
			if out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %v: %w: %s", args, err, bytes.TrimSpace(out))
			}
		}
		// /proc/sys/net is that of the thread that opens it.
		return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0)
	})
	if err != nil {
		return true, errors.Join(err, netns.Delete(c.NetNS()))
	}
	return true, nil
}

// forgetNetwork removes the CNI plugins' records of pods that no longer exist.
func (c *Cluster) forgetNetwork() error {
	// libcni's cache has no setting in containerd; each file's name contains the network's name, which is unique.
	paths, err := filepath.Glob(filepath.Join("/var/lib/cni/results", c.Name+"-*"))
	for _, p := range paths {
		err = errors.Join(err, os.Remove(p))
	}
	for _, dir := range []string{"/var/lib/cni/results", "/var/lib/cni"} {
		removeIfEmpty(dir)
	}
	return errors.Join(err, os.RemoveAll(c.path("ipam")))
}

// removeIfEmpty removes a folder that the platform may have created and that another program may use.
func removeIfEmpty(dir string) {
	if entries, err := os.ReadDir(dir); err == nil && len(entries) == 0 {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintln(os.Stderr, "leave", dir+":", err)
		}
	}
}
