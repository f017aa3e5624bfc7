package cluster

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
	"gitlab.com/slipway-ci/slipway/platform/internal/netns"
)

// Stop ends the cluster and removes everything except for its data. It works without any running part, so it also
// cleans up after a crash: the objects are in etcd, from which the kubelet recreates the pods.
func (c *Cluster) Stop() error {
	var errs []error
	parts := Parts()
	slices.Reverse(parts) // the kubelet before containerd, so that it restarts nothing
	for _, name := range parts {
		if name == "containerd" {
			errs = append(errs, c.killPods())
		}
		errs = append(errs, c.Table.Stop(name))
	}
	for _, p := range c.shims() {
		errs = append(errs, p.Stop(syscall.SIGKILL, time.Second))
	}
	errs = append(errs, c.killPods())
	c.removeShimSockets()
	c.removeKubeletTraces()
	errs = append(errs,
		c.unmount(),
		netns.Delete(c.NetNS()),
		c.removeCgroups(),
		c.forgetNetwork(),
		c.restoreSysctls(),
		os.RemoveAll(c.path("containerd", "state")),
		removeSockets(c.Dir),
	)
	return errors.Join(errs...)
}

// shims are containerd's helpers, one per pod, which outlive it; their command line contains the cluster's socket.
func (c *Cluster) shims() []daemon.Process {
	return daemon.Find(func(pid int) bool {
		line := daemon.CommandLine(pid)
		return strings.Contains(line, "containerd-shim-runc-v2") && strings.Contains(line, c.socket()+" ")
	})
}

// removeShimSockets removes the sockets that killed shims leave outside of the cluster's folder. Each recorded the path: containerd 1 in the file
// address, containerd 2 in bootstrap.json.
func (c *Cluster) removeShimSockets() {
	bundles := c.path("containerd", "state", "io.containerd.runtime.v2.task", "*", "*")
	for _, name := range []string{"address", "bootstrap.json"} {
		notes, _ := filepath.Glob(filepath.Join(bundles, name))
		for _, note := range notes {
			b, _ := os.ReadFile(note)
			if socket := shimSocket.FindSubmatch(b); socket != nil {
				_ = os.Remove(string(socket[1]))
			}
		}
	}
	removeIfEmpty("/run/containerd/s")
	removeIfEmpty("/run/containerd")
}

var shimSocket = regexp.MustCompile(`unix://(/run/containerd/s/[0-9a-f]+)`)

// removeKubeletTraces removes the kubelet's files outside of its folder, at paths that cannot be configured.
func (c *Cluster) removeKubeletTraces() {
	const logs, plugins = "/var/log/containers", "/var/lib/kubelet/device-plugins"
	links, _ := filepath.Glob(logs + "/*.log")
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, c.Dir+"/") {
			_ = os.Remove(link)
		}
	}
	socket := filepath.Join(plugins, "kubelet.sock")
	if conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "unix", socket); err == nil {
		_ = conn.Close() // another kubelet's
	} else {
		_ = os.Remove(socket)
	}
	for _, dir := range []string{logs, plugins, filepath.Dir(plugins)} {
		removeIfEmpty(dir)
	}
}

// unmount removes every mount below the cluster's folder, the last first.
func (c *Cluster) unmount() error {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	var errs []error
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	slices.Reverse(lines)
	for _, line := range lines {
		// proc(5): the fifth field is the mount point, with octal escapes for blanks.
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(fields[4])
		if !strings.HasPrefix(point, c.Dir+"/") || point == c.NetNS() {
			continue
		}
		if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			errs = append(errs, &os.PathError{Op: "unmount", Path: point, Err: err})
		}
	}
	return errors.Join(errs...)
}

func removeSockets(dir string) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.sock*"))
	for _, p := range paths {
		err = errors.Join(err, os.Remove(p))
	}
	return err
}
