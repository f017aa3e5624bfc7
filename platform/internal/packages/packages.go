// Package packages installs the system programs that the platform needs if it can: as root, on Debian and Ubuntu.
package packages

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/platform/internal/postgres"
)

// A Need is a program (or a file) and the package of Debian and Ubuntu that contains it.
type Need struct {
	Program string
	Package string
	found   func() bool
}

// Database is what the database server needs.
func Database() []Need {
	return []Need{{"initdb", "postgresql", func() bool { return postgres.FindBin() != "" }}}
}

// Cluster is what Kubernetes needs.
func Cluster() []Need {
	return []Need{
		program("containerd", "containerd"),
		program("containerd-shim-runc-v2", "containerd"),
		program("ctr", "containerd"),
		program("runc", "runc"),
		program("nft", "nftables"),
		program("ip", "iproute2"),
		program("mount", "mount"),
		{"CNI plugins", "containernetworking-plugins", func() bool { return CNIPlugins() != "" }},
	}
}

// Monitoring is what Prometheus and Alertmanager need.
func Monitoring() []Need {
	return []Need{program("prometheus", "prometheus"), program("prometheus-alertmanager", "prometheus-alertmanager")}
}

// CNIPlugins is the folder of the CNI plugins: Debian's, or the one that other packages use; "" if there is none.
func CNIPlugins() string {
	for _, dir := range []string{"/usr/lib/cni", "/opt/cni/bin"} {
		complete := true
		for _, p := range []string{"ptp", "host-local", "loopback"} {
			_, err := os.Stat(filepath.Join(dir, p))
			complete = complete && err == nil
		}
		if complete {
			return dir
		}
	}
	return ""
}

// Programs of daemons are also searched in /usr/sbin, which may be missing in root's PATH.
var folders = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// Path returns the path of a program; "" if it is not installed.
func Path(name string) string {
	for _, dir := range folders {
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

func program(name, pkg string) Need { return Need{name, pkg, func() bool { return Path(name) != "" }} }

// Missing returns the packages of the needs that are missing, and those of extra that are not installed, sorted.
func Missing(ctx context.Context, needs []Need, extra []string) []string {
	var missing []string
	for _, n := range needs {
		if !n.found() {
			missing = append(missing, n.Package)
		}
	}
	for _, p := range extra {
		if Path(p) == "" && !installed(ctx, p) {
			missing = append(missing, p)
		}
	}
	slices.Sort(missing)
	return slices.Compact(missing)
}

func installed(ctx context.Context, pkg string) bool {
	out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${db:Status-Status}", pkg).Output()
	return err == nil && string(out) == "installed"
}

// Install installs the packages with apt-get and writes its output to log. If it cannot, the error contains the command that
// a person has to run.
func Install(ctx context.Context, missing []string, log io.Writer) error {
	if len(missing) == 0 {
		return nil
	}
	line := "apt-get install --no-install-recommends " + strings.Join(missing, " ")
	if Path("apt-get") == "" {
		return fmt.Errorf("not installed: %s (these are the names of Debian's packages); install them and repeat",
			strings.Join(missing, ", "))
	}
	if os.Getuid() != 0 {
		return fmt.Errorf("not installed: %s; as root: %s", strings.Join(missing, ", "), line)
	}
	release, err := forbidServices()
	if err != nil {
		return err
	}
	defer release()
	// Package lists that are old name versions that the archive no longer has.
	if err := apt(ctx, log, "update"); err != nil {
		fmt.Fprintf(log, "apt-get update: %v; trying with the lists that are there\n", err)
	}
	if err := apt(ctx, log, "install", append([]string{"-y", "--no-install-recommends"}, missing...)...); err != nil {
		return fmt.Errorf("%w; by hand: %s", err, line)
	}
	return nil
}

func apt(ctx context.Context, log io.Writer, command string, args ...string) error {
	options := []string{"-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0", command}
	cmd := exec.CommandContext(ctx, "apt-get", append(options, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "NEEDRESTART_MODE=l", "LC_ALL=C.UTF-8")
	var tail lastBytes
	cmd.Stdout, cmd.Stderr = io.MultiWriter(log, &tail), io.MultiWriter(log, &tail)
	// On Ctrl-C dpkg finishes the present package, so that none is left half configured.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("apt-get %s: %w:\n%s", command, err, strings.TrimSpace(string(tail)))
	}
	return nil
}

// policy is the program that Debian's maintainer scripts ask before they start a service (invoke-rc.d(8)).
const policy = "/usr/sbin/policy-rc.d"

// forbidServices keeps packages from starting services: the platform runs its own containerd and PostgreSQL, independent of
// the machine's. An existing policy is kept.
func forbidServices() (release func(), err error) {
	const text = "#!/bin/sh\n# Temporary: slipway's platform installs packages.\nexit 101\n"
	if there, err := os.ReadFile(policy); err == nil && string(there) != text {
		return func() {}, nil
	}
	if err := os.WriteFile(policy, []byte(text), 0o755); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(policy) }, nil
}

// lastBytes keeps the end of its input.
type lastBytes []byte

func (l *lastBytes) Write(p []byte) (int, error) {
	*l = append(*l, p...)
	if over := len(*l) - 2000; over > 0 {
		*l = (*l)[over:]
	}
	return len(p), nil
}
