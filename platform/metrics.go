package platform

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/build"
	"gitlab.com/slipway-ci/slipway/platform/internal/cluster"
	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

// metricsAPI is the path of the object that makes the API server pass requests on to metrics-server. Without metrics-server `up` withdraws it: an API
// that nobody serves keeps namespaces from being deleted.
const metricsAPI = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"

// startMetrics runs metrics-server, from which autoscalers and `kubectl top` get what pods use. It is a process of the node.
func (p *Platform) startMetrics(ctx context.Context, s *steps) error {
	dir, err := p.compiled(ctx, s, "metrics-server binary", cluster.MetricsServer, build.Metrics())
	if err != nil {
		return err
	}
	return s.do(cluster.MetricsServer, func() (bool, error) {
		c := p.cluster()
		authority, err := c.Authority()
		if err != nil {
			return false, err
		}
		if err := p.apply(ctx, metricsObjects(authority)); err != nil {
			return false, err
		}
		config := c.Kubeconfig(cluster.MetricsServer)
		pki := func(file string) string { return filepath.Join(c.Dir, "pki", file) }
		spec := p.inside(c, daemon.Spec{Name: cluster.MetricsServer, Path: filepath.Join(dir, cluster.MetricsServer), NetNS: c.NetNS(),
			Args: []string{"--kubeconfig=" + config, "--authentication-kubeconfig=" + config, "--authorization-kubeconfig=" + config,
				"--bind-address=" + cluster.NodeAddress, fmt.Sprintf("--secure-port=%d", cluster.MetricsPort),
				"--tls-cert-file=" + pki(cluster.MetricsServer+".crt"), "--tls-private-key-file=" + pki(cluster.MetricsServer+".key"),
				"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP", "--metric-resolution=15s"},
			Inputs: []string{config, pki(cluster.MetricsServer + ".crt"), pki("ca.crt")}, Grace: time.Second})
		return p.table.Up(ctx, spec, 90*time.Second, p.metricsServed)
	})
}

// metricsServed returns an error unless metrics-server answers through the API server. The condition of its APIService may be that of the
// process before it.
func (p *Platform) metricsServed(ctx context.Context) error {
	client, err := p.cluster().Client("admin")
	if err != nil {
		return err
	}
	defer client.Close()
	var resources any
	return client.Get(ctx, "/apis/metrics.k8s.io/v1beta1", &resources)
}

// metricsObjects returns what metrics-server may read, and where the API server finds it.
func metricsObjects(authority []byte) []located {
	const user = "slipway:metrics-server"
	objects := []located{
		clusterRole(user, nil, rule("", []string{"nodes/metrics"}, "get"), rule("", []string{"pods", "nodes"}, "get", "list", "watch")),
		clusterRoleBinding(user, user, user),
		// It asks the API server who its clients are and what they may do.
		clusterRoleBinding(user+":auth-delegator", user, "system:auth-delegator"),
		roleBinding("kube-system", user, user, "Role", "extension-apiserver-authentication-reader"),
		// Who may look at a namespace may look at what its pods use.
		clusterRole("system:aggregated-metrics-reader", kube.Object{rbac + "/aggregate-to-view": "true"},
			rule("metrics.k8s.io", []string{"pods", "nodes"}, "get", "list", "watch")),
	}
	objects = append(objects, onNode("kube-system", "metrics-server", nodePort{"main", 443, cluster.MetricsPort})...)
	return append(objects, located{metricsAPI, kube.Object{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": kube.Object{"name": "v1beta1.metrics.k8s.io"},
		"spec": kube.Object{"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
			"service":  kube.Object{"namespace": "kube-system", "name": "metrics-server"},
			"caBundle": base64.StdEncoding.EncodeToString(authority)}}})
}
