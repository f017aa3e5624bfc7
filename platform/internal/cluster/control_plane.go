package cluster

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
)

// component returns the specification that all Kubernetes processes share.
func (c *Cluster) component(name string, inputs []string, args ...string) daemon.Spec {
	return daemon.Spec{
		Name:   name,
		Path:   filepath.Join(c.Bin, name),
		Args:   args,
		Dir:    c.Dir,
		NetNS:  c.NetNS(),
		Inputs: inputs,
		Grace:  time.Second, // crash-only: what they keep is in etcd, which gets longer
	}
}

func (c *Cluster) controlPlane(ctx context.Context, step Step) error {
	etcd := c.component("etcd", nil,
		"--data-dir="+c.path("etcd"), "--name="+node,
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster="+node+"=http://127.0.0.1:2380",
		"--log-level=warn", "--auto-compaction-mode=periodic", "--auto-compaction-retention=1h")
	etcd.Grace = 10 * time.Second
	if err := step("etcd", func() (bool, error) {
		started, err := c.Table.Up(ctx, etcd, 30*time.Second, c.Probe("http://127.0.0.1:2379/health"))
		if err == nil && started {
			// An API server that lost its etcd retries after increasing delays; a new one is ready sooner.
			err = c.Table.Stop("kube-apiserver")
		}
		return started, err
	}); err != nil {
		return err
	}

	pki := func(file string) string { return c.path("pki", file) }
	inputs := []string{pki("ca.crt"), pki("apiserver.crt"), pki("apiserver-kubelet-client.crt"), pki("service-account.pub"), pki(frontProxy + ".crt")}
	api := c.component("kube-apiserver", inputs,
		"--etcd-servers=http://127.0.0.1:2379", "--secure-port=6443", "--bind-address="+NodeAddress, "--advertise-address="+NodeAddress,
		"--tls-cert-file="+pki("apiserver.crt"), "--tls-private-key-file="+pki("apiserver.key"), "--client-ca-file="+pki("ca.crt"),
		"--kubelet-client-certificate="+pki("apiserver-kubelet-client.crt"), "--kubelet-client-key="+pki("apiserver-kubelet-client.key"),
		"--kubelet-certificate-authority="+pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+pki("service-account.pub"),
		"--service-account-signing-key-file="+pki("service-account.key"),
		"--service-cluster-ip-range="+services, "--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction", "--profiling=false",
		// API servers behind this one (metrics-server) take its word for who asks. The authority signs others, too: the name decides.
		"--proxy-client-cert-file="+pki(frontProxy+".crt"), "--proxy-client-key-file="+pki(frontProxy+".key"),
		"--requestheader-client-ca-file="+pki("ca.crt"), "--requestheader-allowed-names="+frontProxy,
		"--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group", "--requestheader-extra-headers-prefix=X-Remote-Extra-")
	if err := step("kube-apiserver", func() (bool, error) { return c.Table.Up(ctx, api, 90*time.Second, c.APIReady) }); err != nil {
		return err
	}

	manager := c.controller("kube-controller-manager",
		"--service-account-private-key-file="+pki("service-account.key"), "--root-ca-file="+pki("ca.crt"),
		"--use-service-account-credentials", "--cluster-cidr="+pods, "--flex-volume-plugin-dir="+c.path("volumeplugins"))
	scheduler := c.controller("kube-scheduler")
	return parallel(
		func() error {
			return step("kube-controller-manager", func() (bool, error) {
				return c.Table.Up(ctx, manager, 30*time.Second, c.running("kube-controller-manager"))
			})
		},
		func() error {
			return step("kube-scheduler", func() (bool, error) {
				return c.Table.Up(ctx, scheduler, 30*time.Second, c.running("kube-scheduler"))
			})
		},
	)
}

// controller returns the specification of a component that only uses the API server. There is one of each, without leader
// election.
func (c *Cluster) controller(name string, args ...string) daemon.Spec {
	config := c.path(name + ".kubeconfig")
	return c.component(name, []string{config}, append([]string{
		"--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
		"--bind-address=127.0.0.1", "--leader-elect=false", "--profiling=false"}, args...)...)
}

// running reports ready as soon as the process runs: its health endpoint requires a separate certificate.
func (c *Cluster) running(name string) func(context.Context) error {
	return func(context.Context) error {
		if !c.Table.Running(name) {
			return fmt.Errorf("%s does not run", name)
		}
		return nil
	}
}

// Probe returns a check of a health endpoint inside of the namespace.
func (c *Cluster) Probe(url string) func(context.Context) error {
	client := &http.Client{Transport: &http.Transport{DialContext: c.Dialer(), DisableKeepAlives: true}}
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, resp.Status)
		}
		return nil
	}
}
