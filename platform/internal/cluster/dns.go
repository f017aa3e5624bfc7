package cluster

import (
	"context"
	"fmt"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

const domain = "cluster.local"

// names starts the cluster's DNS. It is a process of the node, not a pod: it needs no image, and runs before the first
// pod.
func (c *Cluster) names(ctx context.Context, step Step) error {
	return step("coredns", func() (bool, error) {
		if err := c.grantDNS(ctx); err != nil {
			return false, err
		}
		config := c.path("Corefile")
		if _, err := update(config, []byte(c.corefile())); err != nil {
			return false, err
		}
		spec := c.component("coredns", []string{config, c.path("coredns.kubeconfig")}, "--conf", config)
		return c.Table.Up(ctx, spec, 20*time.Second, c.Probe("http://127.0.0.1:8181/ready"))
	})
}

// corefile returns the configuration that resolves names of the cluster, and reports that no other name exists: there is no upstream.
func (c *Cluster) corefile() string {
	return fmt.Sprintf(`%[2]s in-addr.arpa ip6.arpa {
	bind %[1]s
	errors
	ready 127.0.0.1:8181
	kubernetes %[2]s in-addr.arpa ip6.arpa {
		kubeconfig %[3]q
		pods verified
		ttl 5
	}
	cache 5
	loadbalance
}
. {
	bind %[1]s
	errors
	template ANY ANY . {
		rcode NXDOMAIN
	}
}
`, NodeAddress, domain, c.path("coredns.kubeconfig"))
}

// grantDNS lets CoreDNS read the objects that its plugin "kubernetes" needs.
func (c *Cluster) grantDNS(ctx context.Context) error {
	client, err := c.Client("admin")
	if err != nil {
		return err
	}
	defer client.Close()
	const rbac = "rbac.authorization.k8s.io"
	role := kube.Object{"apiVersion": rbac + "/v1", "kind": "ClusterRole", "metadata": kube.Object{"name": "slipway:coredns"},
		"rules": []kube.Object{
			{"apiGroups": []string{""}, "resources": []string{"services", "pods", "namespaces"}, "verbs": []string{"list", "watch", "get"}},
			{"apiGroups": []string{"discovery.k8s.io"}, "resources": []string{"endpointslices"}, "verbs": []string{"list", "watch"}},
		}}
	if err := client.Apply(ctx, "/apis/"+rbac+"/v1/clusterroles/slipway:coredns", role); err != nil {
		return err
	}
	return client.Apply(ctx, "/apis/"+rbac+"/v1/clusterrolebindings/slipway:coredns", kube.Object{
		"apiVersion": rbac + "/v1", "kind": "ClusterRoleBinding", "metadata": kube.Object{"name": "slipway:coredns"},
		"roleRef":  kube.Object{"apiGroup": rbac, "kind": "ClusterRole", "name": "slipway:coredns"},
		"subjects": []kube.Object{{"apiGroup": rbac, "kind": "User", "name": "slipway:coredns"}},
	})
}
