// Package platform runs the services that a delivery pipeline needs on one machine: an OCI registry, PostgreSQL and a
// single-node Kubernetes with an ingress. All listen on loopback and keep their state in one folder.
package platform

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"gitlab.com/slipway-ci/slipway/platform/internal/cluster"
	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
	"gitlab.com/slipway-ci/slipway/platform/internal/packages"
	"gitlab.com/slipway-ci/slipway/platform/internal/postgres"
)

// A Platform is one installation, identified by its state folder.
type Platform struct {
	Config Config
	// Out receives the progress and notes for a person.
	Out   io.Writer
	table daemon.Table
}

// New returns a platform; it does not start anything.
func New(c Config, out io.Writer) *Platform {
	return &Platform{Config: c, Out: out, table: daemon.Table{
		Pids:   filepath.Join(c.State, "run"),
		Logs:   filepath.Join(c.State, "log"),
		Marker: "SLIPWAY_PLATFORM=" + c.State,
	}}
}

// name returns a name that distinguishes this platform's cgroups and CNI records from those of others on the machine.
func (p *Platform) name() string {
	if p.Config.State == "/var/lib/slipway" {
		return "slipway"
	}
	sum := sha256.Sum256([]byte(p.Config.State))
	return "slipway-" + hex.EncodeToString(sum[:4])
}

func (p *Platform) path(names ...string) string {
	return filepath.Join(append([]string{p.Config.State}, names...)...)
}

// Bin returns the folder with kubectl, for PATH.
func (p *Platform) Bin() string { return p.path("bin") }

func (p *Platform) cluster() *cluster.Cluster {
	registry := p.Config.ownRegistry()
	if p.Config.Registry != "" {
		registry = p.Config.Registry
	}
	return &cluster.Cluster{
		Name:          p.name(),
		Dir:           p.path("cluster"),
		Plugins:       packages.CNIPlugins(),
		Registry:      registry,
		PlainRegistry: p.registryOnLoopback() != "",
		APIPort:       p.Config.Ports.API,
		Table:         p.table,
	}
}

func (p *Platform) postgres() (*postgres.Server, error) {
	return postgres.New(p.path("postgres"), p.path("secrets"), p.Config.Ports.Postgres)
}

// databaseURL returns the URL of a tenant's database as its pods see it: the gateway listens at the node's address. The
// connection does not leave the machine, so it has no TLS.
func (p *Platform) databaseURL(server *postgres.Server, t Tenant) (string, error) {
	password, err := server.Password(t.Database())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("postgres://%s:%s@%s:%d/%[1]s?sslmode=disable", t.Database(), password, cluster.NodeAddress, p.Config.Ports.Postgres), nil
}

// ErrNotRoot is returned by functions that need root.
var ErrNotRoot = errors.New("not root, which Kubernetes needs for namespaces, cgroups and mounts: run this as root, or set KUBECONFIG to " +
	"a cluster that you have")

func loopback(port int) string { return "127.0.0.1:" + strconv.Itoa(port) }

// self returns a copy of this program in the state folder: `go run` deletes the one that it started, and the parts that this
// program serves outlive it.
func (p *Platform) self() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	path := p.path("libexec", "platform-"+hex.EncodeToString(sum[:6]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	// Older copies may still run; they can be deleted nevertheless.
	if err := errors.Join(os.RemoveAll(p.path("libexec")), os.MkdirAll(p.path("libexec"), 0o755)); err != nil {
		return "", err
	}
	// Without forks meanwhile: a process that inherits the file open for writing would let its execution fail with ETXTBSY.
	syscall.ForkLock.RLock()
	err = os.WriteFile(path+".tmp", b, 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		return "", err
	}
	return path, os.Rename(path+".tmp", path)
}
