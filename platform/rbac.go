package platform

import "gitlab.com/slipway-ci/slipway/platform/internal/kube"

const rbac = "rbac.authorization.k8s.io"

// rule returns a rule of a role: what may be done with the resources of an API group, "" for the core.
func rule(group string, resources []string, verbs ...string) kube.Object {
	return kube.Object{"apiGroups": []string{group}, "resources": resources, "verbs": verbs}
}

// clusterRole returns a role in all namespaces.
func clusterRole(name string, labels kube.Object, rules ...kube.Object) located {
	return located{"/apis/" + rbac + "/v1/clusterroles/" + name, kube.Object{
		"apiVersion": rbac + "/v1", "kind": "ClusterRole", "metadata": kube.Object{"name": name, "labels": labels}, "rules": rules}}
}

// clusterRoleBinding returns a binding that gives a user a role in all namespaces.
func clusterRoleBinding(name, user, role string) located {
	return located{"/apis/" + rbac + "/v1/clusterrolebindings/" + name, kube.Object{
		"apiVersion": rbac + "/v1", "kind": "ClusterRoleBinding", "metadata": kube.Object{"name": name},
		"roleRef": kube.Object{"apiGroup": rbac, "kind": "ClusterRole", "name": role}, "subjects": users(user)}}
}

// roleBinding returns a binding that gives a user a role, of the kind Role or ClusterRole, in a namespace.
func roleBinding(namespace, name, user, kind, role string) located {
	return located{"/apis/" + rbac + "/v1/namespaces/" + namespace + "/rolebindings/" + name, kube.Object{
		"apiVersion": rbac + "/v1", "kind": "RoleBinding", "metadata": kube.Object{"name": name, "namespace": namespace},
		"roleRef": kube.Object{"apiGroup": rbac, "kind": kind, "name": role}, "subjects": users(user)}}
}

func users(name string) []kube.Object {
	return []kube.Object{{"apiGroup": rbac, "kind": "User", "name": name}}
}
