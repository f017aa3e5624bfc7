package platform

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/build"
	"gitlab.com/slipway-ci/slipway/platform/internal/cluster"
	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

const (
	// kyvernoPort is the port of the node that the API server asks before it stores an object.
	kyvernoPort = 9443
	// kyvernoSecrets is the prefix of the Secrets in which Kyverno keeps the certificate of that port.
	kyvernoSecrets = "kyverno-svc.kyverno.svc.kyverno-tls-"
	// These are the paths of the webhooks by which the API server asks Kyverno. Without Kyverno `up` withdraws them: the API server refuses what they are for.
	kyvernoValidates = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations?labelSelector=webhook.kyverno.io%2Fmanaged-by%3Dkyverno"
	kyvernoMutates   = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations?labelSelector=webhook.kyverno.io%2Fmanaged-by%3Dkyverno"
)

// startKyverno runs Kyverno's admission controller, which enforces policies that Kubernetes itself cannot check, such as the signature of an image.
// It is a process of the node: the API server and the registry have the addresses there by which pods' images are named.
func (p *Platform) startKyverno(ctx context.Context, s *steps) error {
	dir, err := p.compiled(ctx, s, "kyverno binary", cluster.Kyverno, build.Kyverno())
	if err != nil {
		return err
	}
	return s.do(cluster.Kyverno, func() (bool, error) {
		if err := p.applyManifests(ctx, dir); err != nil {
			return false, err
		}
		if err := p.apply(ctx, kyvernoObjects()); err != nil {
			return false, err
		}
		c := p.cluster()
		config := c.Kubeconfig(cluster.Kyverno)
		port := strconv.Itoa(kyvernoPort)
		account := func(name string) string { return "system:serviceaccount:kyverno:kyverno-" + name }
		return p.table.Up(ctx, p.inside(c, daemon.Spec{Name: cluster.Kyverno, Path: filepath.Join(dir, cluster.Kyverno), NetNS: c.NetNS(),
			Args: []string{"--kubeconfig=" + config, "--serverIP=" + net.JoinHostPort(cluster.NodeAddress, port),
				"--webhookServerHost=" + cluster.NodeAddress, "--webhookServerPort=" + port,
				"--caSecretName=" + kyvernoSecrets + "ca", "--tlsSecretName=" + kyvernoSecrets + "pair",
				"--backgroundServiceAccountName=" + account("background-controller"), "--reportsServiceAccountName=" + account("reports-controller"),
				// Reports and background scans are those of controllers that do not run here.
				"--admissionReports=false", "--disableMetrics=true", "--controllerRuntimeMetricsAddress=0", "--disableLogColor=true"},
			// The names of what it would be in a pod, and the login with which it reads the public keys that policies name.
			Env: []string{"KYVERNO_NAMESPACE=kyverno", "KYVERNO_DEPLOYMENT=kyverno", "KYVERNO_POD_NAME=kyverno", "KYVERNO_SERVICEACCOUNT_NAME=kyverno",
				"INIT_CONFIG=kyverno", "METRICS_CONFIG=kyverno-metrics", "KUBECONFIG=" + config, "HOME=" + p.path("kyverno")}, Inputs: []string{config}, Grace: 2 * time.Second}), 120*time.Second, p.kyvernoServes)
	})
}

// kyvernoServes returns an error unless Kyverno has told the API server of itself, and listens. The former may have been the process before it.
func (p *Platform) kyvernoServes(ctx context.Context) error {
	client, err := p.cluster().Client("admin")
	if err != nil {
		return err
	}
	defer client.Close()
	var list struct{ Items []struct{} }
	if err := client.Get(ctx, kyvernoValidates, &list); err != nil {
		return err
	}
	if len(list.Items) == 0 {
		return fmt.Errorf("kyverno has not registered its webhooks")
	}
	conn, err := p.cluster().Dialer()(ctx, "tcp", net.JoinHostPort(cluster.NodeAddress, strconv.Itoa(kyvernoPort)))
	if err != nil {
		return err
	}
	return conn.Close()
}

// kyvernoObjects returns the namespace of Kyverno's settings and its roles.
func kyvernoObjects() []located {
	const user = "slipway:kyverno"
	read := []string{"get", "list", "watch"}
	write := append([]string{"create", "update", "patch", "delete", "deletecollection"}, read...)
	settings := func(name string) located {
		return located{"/api/v1/namespaces/kyverno/configmaps/" + name, kube.Object{"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": kube.Object{"name": name, "namespace": "kyverno"}}}
	}
	return []located{
		plainNamespace("kyverno"), settings("kyverno"), settings("kyverno-metrics"),
		clusterRole(user, nil,
			rule("apiextensions.k8s.io", []string{"customresourcedefinitions"}, read...),
			rule("admissionregistration.k8s.io", []string{"*"}, write...),
			rule(rbac, []string{"roles", "clusterroles", "rolebindings", "clusterrolebindings"}, read...),
			rule("kyverno.io", []string{"*"}, write...),
			rule("policies.kyverno.io", []string{"*"}, write...),
			rule("reports.kyverno.io", []string{"*"}, write...),
			rule("", []string{"events"}, "create", "update", "patch"),
			rule("events.k8s.io", []string{"events"}, "create", "update", "patch"),
			rule("authorization.k8s.io", []string{"subjectaccessreviews"}, "create"),
			rule("", []string{"configmaps", "namespaces", "pods"}, read...),
			rule("apps", []string{"deployments"}, read...)),
		clusterRoleBinding(user, user, user),
		// Its own certificate, its leader's lease, and the public keys that policies name.
		{"/apis/" + rbac + "/v1/namespaces/kyverno/roles/" + user, kube.Object{
			"apiVersion": rbac + "/v1", "kind": "Role", "metadata": kube.Object{"name": user, "namespace": "kyverno"},
			"rules": []kube.Object{rule("", []string{"secrets"}, write...), rule("coordination.k8s.io", []string{"leases"}, write...)}}},
		roleBinding("kyverno", user, user, "Role", user),
	}
}
