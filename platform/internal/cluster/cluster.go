// Package cluster runs a single-node Kubernetes in a separate network namespace, with real components and containers,
// without changes to the host's network.
package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
	"gitlab.com/slipway-ci/slipway/platform/internal/netns"
	"gitlab.com/slipway-ci/slipway/platform/internal/pki"
)

// The addresses inside of the namespace. They are the same in every platform, since each has its own namespace.
const (
	// NodeAddress is the node's; pods reach what the gateway forwards on it.
	NodeAddress = "10.99.0.1"
	// APIAddress is where the API server listens.
	APIAddress = NodeAddress + ":6443"
	// ProxyAddress is the address of the proxy to external registries, for the node only, not for pods.
	ProxyAddress = "127.0.0.1:3128"
	// PolicyAddress is the address at which the enforcer of network policies reports whether it is ready.
	PolicyAddress = "127.0.0.1:9879"
	// TargetsAddress is the address of Prometheus' service discovery.
	TargetsAddress = "127.0.0.1:9880"
	// MetricsPort is the port at the node's address where the API server finds metrics-server.
	MetricsPort = 4443

	pods         = "10.244.0.0/24"
	services     = "10.96.0.0/16"
	firstService = "10.96.0.1"
	node         = "slipway"
	pauseImage   = "slipway.local/pause:1"
	frontProxy   = "front-proxy-client"
)

// A Cluster is one single-node Kubernetes.
type Cluster struct {
	// Name distinguishes this cluster's cgroups and CNI results from those of others on the same machine.
	Name string
	// Dir holds the cluster's state. Dir/etcd and Dir/containerd/root are data; the rest can be created again.
	Dir string
	// Bin holds kube-apiserver, kubelet and the others, and pause.
	Bin string
	// Plugins is the folder of the CNI plugins.
	Plugins string
	// Registry is the host:port that images are pulled from, without TLS if PlainRegistry is set.
	Registry      string
	PlainRegistry bool
	// APIPort is the host's loopback port that leads to the API server.
	APIPort int
	Table   daemon.Table
}

// The optional parts that speak to the API server, by the names of their certificates: Argo Rollouts, what finds Prometheus' targets,
// metrics-server, whose certificate is for the name of its Service, too, Flux's controllers, Traefik and Kyverno.
const (
	Rollouts            = "rollouts"
	Prometheus          = "prometheus"
	MetricsServer       = "metrics-server"
	SourceController    = "source-controller"
	KustomizeController = "kustomize-controller"
	Traefik             = "traefik"
	Kyverno             = "kyverno"
)

// Parts returns the cluster's processes in the order in which they are started.
func Parts() []string {
	return []string{"etcd", "kube-apiserver", "containerd", "kube-controller-manager", "kube-scheduler", "coredns", "kubelet", "kube-proxy"}
}

// NetNS returns the path of the cluster's network namespace.
func (c *Cluster) NetNS() string { return filepath.Join(c.Dir, "netns") }

// AdminConfig returns the path of the administrator's kubeconfig, which goes through the host's loopback.
func (c *Cluster) AdminConfig() string { return filepath.Join(c.Dir, "admin.kubeconfig") }

// Server returns the API server's URL on the host's loopback.
func (c *Cluster) Server() string { return "https://127.0.0.1:" + strconv.Itoa(c.APIPort) }

// Kubeconfig returns the path of a component's kubeconfig, for direct access to the API server from inside of the namespace.
func (c *Cluster) Kubeconfig(name string) string { return c.path(name + ".kubeconfig") }

func (c *Cluster) path(names ...string) string {
	return filepath.Join(append([]string{c.Dir}, names...)...)
}

// A Step runs a named action and prints how long it took; the action reports whether it changed anything.
type Step func(name string, action func() (changed bool, err error)) error

// Start starts what is not running, in two goroutines until the kubelet needs both.
func (c *Cluster) Start(ctx context.Context, step Step) error {
	if err := step("network namespace", func() (bool, error) { return c.network(ctx) }); err != nil {
		return err
	}
	if err := step("certificates", c.certificates); err != nil {
		return err
	}
	if err := parallel(
		func() error { return c.controlPlane(ctx, step) },
		func() error { return c.containers(ctx, step) },
	); err != nil {
		return err
	}
	return c.node(ctx, step)
}

func parallel(actions ...func() error) error {
	results := make(chan error)
	for _, a := range actions {
		go func() { results <- a() }()
	}
	var errs []error
	for range actions {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

// certificates creates the authority, every component's certificate and its kubeconfig.
func (c *Cluster) certificates() (bool, error) {
	ca, err := pki.Open(c.path("pki"))
	if err != nil {
		return false, err
	}
	requests := []pki.Request{
		{Name: "apiserver", CommonName: "kube-apiserver", Hosts: []string{"127.0.0.1", NodeAddress, firstService, "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}},
		{Name: "kubelet-server", CommonName: node, Hosts: []string{NodeAddress, node}},
		{Name: "apiserver-kubelet-client", CommonName: "apiserver-kubelet-client", Organizations: []string{"system:masters"}},
		{Name: "admin", CommonName: "admin", Organizations: []string{"system:masters"}},
		{Name: "kube-controller-manager", CommonName: "system:kube-controller-manager"},
		{Name: "kube-scheduler", CommonName: "system:kube-scheduler"},
		{Name: "kube-proxy", CommonName: "system:kube-proxy"},
		{Name: "kubelet", CommonName: "system:node:" + node, Organizations: []string{"system:nodes"}},
		{Name: "coredns", CommonName: "slipway:coredns"},
		{Name: "network-policy", CommonName: "slipway:network-policy"},
		{Name: "ingress", CommonName: "slipway:ingress"},
		{Name: Rollouts, CommonName: "slipway:rollouts"},
		{Name: Prometheus, CommonName: "slipway:prometheus"},
		{Name: MetricsServer, CommonName: "slipway:metrics-server", Hosts: []string{NodeAddress, "metrics-server.kube-system.svc"}},
		{Name: SourceController, CommonName: "slipway:" + SourceController},
		{Name: KustomizeController, CommonName: "slipway:" + KustomizeController},
		{Name: Traefik, CommonName: "slipway:" + Traefik},
		{Name: Kyverno, CommonName: "slipway:" + Kyverno},
		// What the API server is to the API servers behind it.
		{Name: frontProxy, CommonName: frontProxy},
	}
	for _, r := range requests {
		if err := ca.Issue(r); err != nil {
			return false, err
		}
	}
	if err := ca.KeyPair("service-account"); err != nil {
		return false, err
	}
	inside := "https://" + APIAddress
	changed := false
	for _, name := range []string{"kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "coredns", Rollouts, MetricsServer, SourceController, KustomizeController, Traefik, Kyverno, "admin"} {
		login, err := c.login(name)
		if err != nil {
			return false, err
		}
		server, path := inside, c.path(name+".kubeconfig")
		if name == "admin" || name == SourceController { // on the host
			server = c.Server()
		}
		wrote, err := update(path, kube.Config(server, ca.PEM, name, login, ""))
		if err != nil {
			return false, err
		}
		changed = changed || wrote
	}
	return changed, nil
}

func (c *Cluster) login(name string) (l kube.Login, err error) {
	if l.Cert, err = os.ReadFile(c.path("pki", name+".crt")); err != nil {
		return l, err
	}
	l.Key, err = os.ReadFile(c.path("pki", name+".key"))
	return l, err
}

// Authority returns the cluster's certificate authority (PEM).
func (c *Cluster) Authority() ([]byte, error) { return os.ReadFile(c.path("pki", "ca.crt")) }

// Client returns a client of the API server as the named certificate's user, from inside of the namespace.
func (c *Cluster) Client(user string) (*kube.Client, error) {
	ca, err := c.Authority()
	if err != nil {
		return nil, err
	}
	pair, err := tls.LoadX509KeyPair(c.path("pki", user+".crt"), c.path("pki", user+".key"))
	if err != nil {
		return nil, err
	}
	return kube.New("https://"+APIAddress, ca, pair, c.Dialer())
}

// Dialer returns a dialer inside of the cluster's network.
func (c *Cluster) Dialer() func(context.Context, string, string) (net.Conn, error) {
	return netns.Dialer(c.NetNS())
}

// Ready returns an error unless the API server and the node are ready.
func (c *Cluster) Ready(ctx context.Context) error {
	if err := c.APIReady(ctx); err != nil {
		return err
	}
	return c.nodeReady(ctx)
}

// APIReady returns an error unless the API server is ready.
func (c *Cluster) APIReady(ctx context.Context) error {
	client, err := c.Client("admin")
	if err != nil {
		return err
	}
	defer client.Close()
	var answer string
	if err := client.Get(ctx, "/readyz", &answer); err != nil {
		return err
	}
	if answer != "ok" {
		return fmt.Errorf("the API server answers %q", answer)
	}
	return nil
}

// update writes a file unless it has this content already.
func update(path string, content []byte) (bool, error) {
	if b, err := os.ReadFile(path); err == nil && string(b) == string(content) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	if err := os.WriteFile(path+".tmp", content, 0o600); err != nil {
		return false, err
	}
	return true, os.Rename(path+".tmp", path)
}
