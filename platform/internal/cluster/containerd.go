package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
	"gitlab.com/slipway-ci/slipway/platform/internal/image"
)

func (c *Cluster) socket() string { return c.path("containerd.sock") }

// containers starts containerd, inside of the namespace because the CNI plugins run where it runs, and the image of
// pods' sandboxes.
func (c *Cluster) containers(ctx context.Context, step Step) error {
	files := map[string]string{
		"containerd.toml":     c.containerdConfig(),
		"cni/10-ptp.conflist": c.networkConfig(),
	}
	if c.PlainRegistry {
		// The gateway listens at the registry's own address inside of the namespace, so an image has the same name on
		// the host that pushes it and on the node that pulls it.
		files[filepath.Join("certs.d", c.Registry, "hosts.toml")] = fmt.Sprintf(
			"server = \"http://%[1]s\"\n[host.\"http://%[1]s\"]\n  capabilities = [\"pull\", \"resolve\"]\n", c.Registry)
	}
	for name, text := range files {
		if _, err := update(c.path(name), []byte(text)); err != nil {
			return err
		}
	}
	config := c.path("containerd.toml")
	err := step("containerd", func() (bool, error) {
		return c.Table.Up(ctx, daemon.Spec{
			Name: "containerd", Path: "containerd", Args: []string{"--config", config},
			// Registries that are not on this machine are reached through the gateway; loopback never is (Go's rule).
			Env: []string{"HTTPS_PROXY=http://" + ProxyAddress},
			Dir: c.Dir, NetNS: c.NetNS(), Inputs: []string{config},
		}, 30*time.Second, func(ctx context.Context) error { _, err := c.ctr(ctx, "version"); return err })
	})
	if err != nil {
		return err
	}
	return step("pause image", func() (bool, error) { return c.importPause(ctx) })
}

func (c *Cluster) containerdConfig() string {
	// Where a process may not lower its oom_score_adj (no CAP_SYS_RESOURCE), every sandbox would fail with the message
	// "can't get final child's PID from pipe: EOF".
	return fmt.Sprintf(`version = 2
root = %[1]q
state = %[2]q
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.blockfile", "io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
  address = %[3]q
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = %[4]t
  sandbox_image = %[5]q
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = %[6]q
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = %[7]q
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %[8]q
    conf_dir = %[9]q
`, c.path("containerd", "root"), c.path("containerd", "state"), c.socket(), !mayLowerOOMScore(), pauseImage,
		snapshotter(c.Dir), c.path("certs.d"), c.Plugins, c.path("cni"))
}

// networkConfig connects every pod by a separate pair of interfaces (ptp). All traffic between pods is then routed by the
// node, where kube-proxy's rules see it; on a bridge they would need the module br_netfilter.
func (c *Cluster) networkConfig() string {
	return fmt.Sprintf(`{"cniVersion": "0.4.0", "name": %q, "plugins": [{"type": "ptp", "ipMasq": false, "ipam": {"type": "host-local",
  "dataDir": %q, "ranges": [[{"subnet": %q}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
`, c.Name, c.path("ipam"), pods)
}

// mayLowerOOMScore tries to lower the value of this process, and restores it.
func mayLowerOOMScore() bool {
	const file = "/proc/self/oom_score_adj"
	before, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	var score int
	if _, err := fmt.Sscan(string(before), &score); err != nil {
		return false
	}
	err = os.WriteFile(file, fmt.Append(nil, max(score-1, -1000)), 0)
	return err == nil && os.WriteFile(file, before, 0) == nil
}

// snapshotter is overlayfs, except where the state itself lies on an overlay, as in a container: those do not nest.
func snapshotter(dir string) string {
	var s unix.Statfs_t
	if unix.Statfs(dir, &s) == nil && s.Type == unix.OVERLAYFS_SUPER_MAGIC {
		return "native"
	}
	return "overlayfs"
}

// ctr runs containerd's client, which hangs for 10 seconds without a server: it checks the socket first, and bounds the
// call.
func (c *Cluster) ctr(ctx context.Context, args ...string) (string, error) {
	if info, err := os.Stat(c.socket()); err != nil || info.Mode().Type() != os.ModeSocket {
		return "", errors.New("containerd has no socket yet")
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ctr", append([]string{"--address", c.socket(), "--connect-timeout", "2s", "--namespace", "k8s.io"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", args[0], err, bytes.TrimSpace(stderr.Bytes()))
	}
	return string(out), nil
}

func (c *Cluster) importPause(ctx context.Context) (bool, error) {
	there, err := c.ctr(ctx, "images", "list", "--quiet", "name=="+pauseImage)
	if err != nil || strings.TrimSpace(there) == pauseImage {
		return false, err
	}
	binary, err := os.ReadFile(filepath.Join(c.Bin, "pause"))
	if err != nil {
		return false, err
	}
	archive := c.path("pause.tar")
	if err := os.WriteFile(archive, image.New("pause", binary).Archive(pauseImage), 0o600); err != nil {
		return false, err
	}
	defer os.Remove(archive)
	_, err = c.ctr(ctx, "images", "import", archive)
	return true, err
}
