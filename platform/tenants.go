package platform

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

const (
	deployer = "deployer"
	// databaseSecret has the key "url".
	databaseSecret = "database"
)

// provision creates each tenant's namespace with the objects that a pipeline needs: a service account that may deploy to it
// only, and the URL of the database.
func (p *Platform) provision(ctx context.Context) (bool, error) {
	client, err := p.cluster().Client("admin")
	if err != nil {
		return false, err
	}
	defer client.Close()
	server, err := p.postgres()
	if err != nil {
		return false, err
	}
	for _, t := range p.Config.Tenants {
		url, err := p.databaseURL(server, t)
		if err != nil {
			return false, err
		}
		if err := applyAll(ctx, client, tenantObjects(t, url)); err != nil {
			return false, fmt.Errorf("tenant %s: %w", t.Namespace, err)
		}
	}
	for _, t := range p.Config.Tenants {
		if _, err := deployToken(ctx, client, t); err != nil {
			return false, err
		}
	}
	return false, nil
}

// shared returns the cluster-wide objects: the ingress class, and the roles of the platform's own parts.
func shared() []located {
	objects := []located{{"/apis/networking.k8s.io/v1/ingressclasses/slipway", kube.Object{
		"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass",
		"metadata": kube.Object{"name": "slipway", "annotations": kube.Object{"ingressclass.kubernetes.io/is-default-class": "true"}},
		"spec":     kube.Object{"controller": "gitlab.com/slipway-ci/ingress"},
	}}}
	for _, r := range []reader{
		{"slipway:ingress", map[string][]string{"": {"services"}, "discovery.k8s.io": {"endpointslices"}, "networking.k8s.io": {"ingresses"}}},
		{"slipway:network-policy", map[string][]string{"": {"pods", "namespaces"}, "networking.k8s.io": {"networkpolicies"}}},
	} {
		objects = append(objects, r.objects()...)
	}
	return objects
}

// objects returns the role of a reader and its binding.
func (r reader) objects() []located {
	var rules []kube.Object
	for _, group := range slices.Sorted(maps.Keys(r.resources)) {
		rules = append(rules, rule(group, r.resources[group], "list", "watch"))
	}
	return []located{clusterRole(r.user, nil, rules...), clusterRoleBinding(r.user, r.user, r.user)}
}

// A reader is a part of the platform that watches resources (by API group) in all namespaces.
type reader struct {
	user      string
	resources map[string][]string
}

type located struct {
	path   string
	object kube.Object
}

// apply applies objects as the administrator, in order.
func (p *Platform) apply(ctx context.Context, objects []located) error {
	client, err := p.cluster().Client("admin")
	if err != nil {
		return err
	}
	defer client.Close()
	return applyAll(ctx, client, objects)
}

// applyAll applies objects, in order.
func applyAll(ctx context.Context, client *kube.Client, objects []located) error {
	for _, o := range objects {
		if err := client.Apply(ctx, o.path, o.object); err != nil {
			return err
		}
	}
	return nil
}

func tenantObjects(t Tenant, databaseURL string) []located {
	ns := "/api/v1/namespaces/" + t.Namespace
	meta := func(name string) kube.Object {
		return kube.Object{"name": name, "namespace": t.Namespace, "labels": kube.Object{"app.kubernetes.io/managed-by": kube.Manager}}
	}
	token := meta(deployer + "-token")
	token["annotations"] = kube.Object{"kubernetes.io/service-account.name": deployer}
	return []located{
		{ns, namespace(t)},
		{ns + "/serviceaccounts/" + deployer, kube.Object{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(deployer)}},
		{ns + "/secrets/" + deployer + "-token", kube.Object{"apiVersion": "v1", "kind": "Secret", "metadata": token,
			"type": "kubernetes.io/service-account-token"}},
		{"/apis/rbac.authorization.k8s.io/v1/namespaces/" + t.Namespace + "/rolebindings/" + deployer, kube.Object{
			"apiVersion": rbac + "/v1", "kind": "RoleBinding", "metadata": meta(deployer),
			// Kubernetes' own role: all objects of a workload, without roles, quotas or the namespace itself.
			"roleRef":  kube.Object{"apiGroup": rbac, "kind": "ClusterRole", "name": "edit"},
			"subjects": []kube.Object{{"kind": "ServiceAccount", "name": deployer, "namespace": t.Namespace}}}},
		{ns + "/secrets/" + databaseSecret, kube.Object{"apiVersion": "v1", "kind": "Secret", "metadata": meta(databaseSecret),
			"type": "Opaque", "data": kube.Object{"url": base64.StdEncoding.EncodeToString([]byte(databaseURL))}}},
	}
}

// namespace returns the namespace, with the strictest of Kubernetes' Pod Security Standards.
func namespace(t Tenant) kube.Object {
	return kube.Object{"apiVersion": "v1", "kind": "Namespace", "metadata": kube.Object{"name": t.Namespace, "labels": kube.Object{
		"app.kubernetes.io/managed-by":       kube.Manager,
		"pod-security.kubernetes.io/enforce": "restricted",
		"pod-security.kubernetes.io/warn":    "restricted",
	}}}
}

// deployToken waits until a controller has created the token.
func deployToken(ctx context.Context, client *kube.Client, t Tenant) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	path := "/api/v1/namespaces/" + t.Namespace + "/secrets/" + deployer + "-token"
	for {
		var secret struct{ Data struct{ Token []byte } }
		if err := client.Get(ctx, path, &secret); err != nil {
			return "", err
		}
		if len(secret.Data.Token) > 0 {
			return string(secret.Data.Token), nil
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("tenant %s: the token of its service account %s is not made; `platform logs kube-controller-manager` "+
				"may say why", t.Namespace, deployer)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
