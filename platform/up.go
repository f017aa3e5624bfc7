package platform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/build"
	"gitlab.com/slipway-ci/slipway/platform/internal/cluster"
	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
	"gitlab.com/slipway-ci/slipway/platform/internal/ingress"
	"gitlab.com/slipway-ci/slipway/platform/internal/packages"
)

// Up starts what is missing and restarts what is broken. Healthy parts are not changed. After a failure, or when ctx
// ends, everything that was started is recorded: another Up continues, Down removes it.
func (p *Platform) Up(ctx context.Context) error {
	own := p.Config.Kubeconfig == ""
	if own && os.Getuid() != 0 {
		return ErrNotRoot
	}
	unlock, err := p.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := p.enoughSpace(); err != nil {
		return err
	}
	s := &steps{out: p.Out, begin: time.Now()}
	fmt.Fprintf(p.Out, "platform in %s\n", p.Config.State)
	if err := p.up(ctx, own, s); err != nil {
		if ctx.Err() != nil {
			return errors.New("interrupted; `platform up` goes on from here, `platform down` removes what was started")
		}
		return err
	}
	fmt.Fprintf(p.Out, "up in %.1f s\n", time.Since(s.begin).Seconds())
	p.printAddresses()
	return nil
}

func (p *Platform) up(ctx context.Context, own bool, s *steps) error {
	if err := s.do("system packages", func() (bool, error) { return p.installPackages(ctx, own) }); err != nil {
		return err
	}
	if err := p.freePorts(ctx, own); err != nil {
		return err
	}
	if err := p.Config.save(); err != nil {
		return err
	}
	self, err := p.self()
	if err != nil {
		return err
	}
	var lanes []func() error
	if p.Config.Registry == "" {
		lanes = append(lanes, func() error {
			return s.do("registry", func() (bool, error) { return p.startRegistry(ctx, self) })
		})
	}
	if !own {
		if len(p.Config.With) > 0 {
			fmt.Fprintln(p.Out, "  optional parts are for the platform's own cluster; KUBECONFIG names yours")
		}
		lanes = append(lanes, func() error { return p.useCluster(ctx, s) })
		return parallel(lanes)
	}
	lanes = append(lanes, func() error { return p.startPostgres(ctx, s) }, func() error { return p.startCluster(ctx, self, s) })
	if err := parallel(lanes); err != nil {
		return err
	}
	if err := s.do("tenants", func() (bool, error) { return p.provision(ctx) }); err != nil {
		return err
	}
	return p.startOptional(ctx, self, s)
}

// parallel runs all functions and joins their errors.
func parallel(lanes []func() error) error {
	results := make(chan error)
	for _, lane := range lanes {
		go func() { results <- lane() }()
	}
	var errs []error
	for range lanes {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

func (p *Platform) installPackages(ctx context.Context, own bool) (bool, error) {
	if !own {
		return false, nil
	}
	needs := append(packages.Database(), packages.Cluster()...)
	if p.Config.has(monitoring) {
		needs = append(needs, packages.Monitoring()...)
	}
	return Install(ctx, needs, nil, p.Out)
}

func (p *Platform) startRegistry(ctx context.Context, self string) (bool, error) {
	address := p.Config.ownRegistry()
	return p.table.Up(ctx, daemon.Spec{
		Name: "registry", Path: self, Dir: p.Config.State,
		Args: []string{"serve", "registry", "--listen", address, "--dir", p.path("registry"), "--logs", p.table.Logs},
	}, 20*time.Second, answers("http://"+address+"/v2/"))
}

func (p *Platform) startPostgres(ctx context.Context, s *steps) error {
	server, err := p.postgres()
	if err != nil {
		return err
	}
	if err := s.do("postgres", func() (bool, error) { return server.Start(ctx, p.table) }); err != nil {
		return err
	}
	return s.do("databases", func() (bool, error) {
		for _, t := range p.Config.Tenants {
			if err := server.EnsureDatabase(ctx, t.Database()); err != nil {
				return false, err
			}
		}
		return false, nil
	})
}

func (p *Platform) startCluster(ctx context.Context, self string, s *steps) error {
	c := p.cluster()
	if err := s.do("kubernetes binaries", func() (changed bool, err error) {
		c.Bin, changed, err = p.binaries(ctx)
		return changed, err
	}); err != nil {
		return err
	}
	if err := c.Start(ctx, s.do); err != nil {
		return err
	}
	if err := s.do("cluster-wide objects", func() (bool, error) { return false, p.apply(ctx, shared()) }); err != nil {
		return err
	}
	return parallel([]func() error{
		func() error { return s.do("gateway", func() (bool, error) { return p.startGateway(ctx, c, self) }) },
		func() error {
			return s.do("network policies", func() (bool, error) { return p.startPolicy(ctx, c, self) })
		},
		func() error { return s.do("ingress", func() (bool, error) { return p.startIngress(ctx, c, self) }) },
	})
}

// binaries compiles hyperkube if necessary, and links kubectl into a folder for PATH. Outside of a clone it uses the programs that were
// compiled before.
func (p *Platform) binaries(ctx context.Context) (dir string, changed bool, err error) {
	source, err := build.FindSource()
	if err != nil {
		if last, linkErr := filepath.EvalSymlinks(filepath.Join(p.Bin(), "kubectl")); linkErr == nil {
			return filepath.Dir(last), false, nil
		}
		return "", false, err
	}
	dir, changed, err = source.Binaries(ctx, p.Config.Cache, p.Out)
	if err != nil {
		return "", false, err
	}
	link, target := filepath.Join(p.Bin(), "kubectl"), filepath.Join(dir, "kubectl")
	if old, err := os.Readlink(link); err == nil && old == target {
		return dir, changed, nil
	}
	return dir, true, errors.Join(os.MkdirAll(p.Bin(), 0o755), os.RemoveAll(link), os.Symlink(target, link))
}

func (p *Platform) startGateway(ctx context.Context, c *cluster.Cluster, self string) (bool, error) {
	args := []string{"serve", "gateway", "--netns", c.NetNS(), "--logs", p.table.Logs,
		"--in", loopback(p.Config.Ports.API) + "=" + cluster.APIAddress,
		// Not on the loopback address, since pods have their own addresses.
		"--out", net.JoinHostPort(cluster.NodeAddress, strconv.Itoa(p.Config.Ports.Postgres)) + "=" + loopback(p.Config.Ports.Postgres),
		"--proxy", cluster.ProxyAddress}
	if r := p.registryOnLoopback(); r != "" {
		// On the loopback address, since only the node pulls images, not pods.
		args = append(args, "--out", r+"="+r)
	}
	args = append(args, p.optionalForwards()...)
	return p.table.Up(ctx, p.inside(c, daemon.Spec{Name: "gateway", Path: self, Args: args}), 10*time.Second, listens(p.Config.Ports.API))
}

func (p *Platform) startIngress(ctx context.Context, c *cluster.Cluster, self string) (bool, error) {
	address := loopback(p.Config.Ports.Ingress)
	args := []string{"serve", "ingress", "--listen", address, "--cluster", c.Dir, "--logs", p.table.Logs}
	return p.table.Up(ctx, p.inside(c, daemon.Spec{Name: "ingress", Path: self, Args: args}), 20*time.Second,
		answers("http://"+address+ingress.ReadyPath))
}

// registryOnLoopback returns the address of the registry if it is on this machine, the platform's or the user's; "" if not.
func (p *Platform) registryOnLoopback() string {
	if p.Config.Registry == "" {
		return p.Config.ownRegistry()
	}
	host, port, err := net.SplitHostPort(p.Config.Registry)
	if ip := net.ParseIP(strings.Replace(host, "localhost", "127.0.0.1", 1)); err == nil && ip != nil && ip.IsLoopback() {
		return net.JoinHostPort(ip.String(), port)
	}
	return ""
}

// startPolicy runs the process inside of the namespace, since nft changes its own one.
func (p *Platform) startPolicy(ctx context.Context, c *cluster.Cluster, self string) (bool, error) {
	args := []string{"serve", "network-policy", "--cluster", c.Dir, "--logs", p.table.Logs}
	spec := p.inside(c, daemon.Spec{Name: "network-policy", Path: self, Args: args, NetNS: c.NetNS()})
	return p.table.Up(ctx, spec, 20*time.Second, c.Probe("http://"+cluster.PolicyAddress))
}

// inside completes the specification of a part that uses the cluster's network namespace: it is restarted when the
// namespace was created again at the same path.
func (p *Platform) inside(c *cluster.Cluster, s daemon.Spec) daemon.Spec {
	var st syscall.Stat_t
	if err := syscall.Stat(c.NetNS(), &st); err == nil {
		s.Env = append(s.Env, "SLIPWAY_NETNS="+strconv.FormatUint(st.Ino, 10))
	}
	s.Dir = p.Config.State
	return s
}

// freePorts returns an error if another program listens on the port of a part that does not run.
func (p *Platform) freePorts(ctx context.Context, own bool) error {
	var errs []error
	for _, port := range p.Config.ports() {
		needed := own
		if port.part == "registry" {
			needed = p.Config.Registry == ""
		}
		if !needed || p.table.Running(port.part) {
			continue
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", loopback(port.number))
		if err == nil {
			errs = append(errs, l.Close())
			continue
		}
		if !errors.Is(err, syscall.EADDRINUSE) {
			errs = append(errs, err)
			continue
		}
		holder := ""
		if pid := listener(port.number); pid != 0 {
			holder = fmt.Sprintf(" by process %d (%s)", pid, shorten(daemon.CommandLine(pid)))
		}
		errs = append(errs, fmt.Errorf("port %d of the %s is in use%s: end that process, or set %s to another port",
			port.number, port.title, holder, port.setting))
	}
	return errors.Join(errs...)
}

func shorten(text string) string {
	if len(text) > 60 {
		return text[:57] + "..."
	}
	return text
}

// enoughSpace returns an error if the disk of the state is nearly full, since etcd and PostgreSQL fail on a full disk.
func (p *Platform) enoughSpace() error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(p.Config.State, &s); err != nil {
		return err
	}
	const need = 1 << 30
	if free := int64(s.Bavail) * s.Bsize; free < need {
		return fmt.Errorf("the disk of %s has %d MB left, and the platform needs %d: make room, or set SLIPWAY_STATE to a folder on "+
			"another disk", p.Config.State, free>>20, int64(need)>>20)
	}
	return nil
}

func (p *Platform) printAddresses() {
	registry, kubernetes := p.Config.ownRegistry(), p.cluster().AdminConfig()
	if p.Config.Registry != "" {
		registry = p.Config.Registry + " (yours)"
	}
	if p.Config.Kubeconfig != "" {
		fmt.Fprintf(p.Out, "  registry    %s\n  kubernetes  %s (yours)\n", registry, p.Config.Kubeconfig)
		return
	}
	fmt.Fprintf(p.Out, "  registry    %s\n  postgres    127.0.0.1:%d\n  kubernetes  %s  KUBECONFIG=%s\n", registry,
		p.Config.Ports.Postgres, p.cluster().Server(), kubernetes)
	for _, t := range p.Config.Tenants {
		fmt.Fprintf(p.Out, "  %-10s  http://%s:%d  namespace %s\n", t.Environment, t.Host(), p.Config.Ports.Ingress, t.Namespace)
	}
	fmt.Fprint(p.Out, p.describeOptional())
}
