package delivery

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestNetworkPolicy is proof 8: a foreign pod reaches the public port, but neither the admin port nor the database; monitoring reaches the
// admin port, and the service reaches a trace collector. The pods that try have the service's image, whose migration dials what its database URL
// names; the database is a listener with the labels and the policy of the component postgres.
func TestNetworkPolicy(t *testing.T) {
	f := setup(t)
	image := f.build(t, "Serve").image()
	for _, namespace := range []string{"proof", "foreign", "watching"} {
		outside.Kubectl(t, "create", "namespace", namespace)
		t.Cleanup(func() { outside.Kubectl(t, "delete", "namespace", namespace, "--wait=false") })
	}
	outside.Kubectl(t, "label", "namespace", "watching", "slipway/scrapes=true")
	f.applyPolicies(t, "proof")

	run(t, "proof", "orders", "orders", image, []string{"serve"}, map[string]string{"ORDERS_HTTP_ADDR": ":8080", "ORDERS_ADMIN_ADDR": ":8081", "ORDERS_AUTH_MODE": "none"})
	run(t, "proof", "postgres", "orders-postgres", image, []string{"serve"}, map[string]string{"ORDERS_HTTP_ADDR": ":5432", "ORDERS_ADMIN_ADDR": ":8081", "ORDERS_AUTH_MODE": "none"})
	run(t, "foreign", "collector", "collector", image, []string{"serve"}, map[string]string{"ORDERS_HTTP_ADDR": ":4317", "ORDERS_ADMIN_ADDR": ":4318", "ORDERS_AUTH_MODE": "none"})
	service, database, collector := address(t, "proof", "orders"), address(t, "proof", "postgres"), address(t, "foreign", "collector")
	api := outside.Kubectl(t, "get", "service", "kubernetes", "--output", "jsonpath={.spec.clusterIP}") + ":443"

	attempts := []struct {
		name, namespace, label, target string
		reached                        bool
	}{
		{"public", "foreign", "anything", service + ":8080", true},
		{"admin", "foreign", "anything", service + ":8081", false},
		{"admin-for-monitoring", "watching", "anything", service + ":8081", true},
		{"database", "foreign", "anything", database + ":5432", false},
		// The label alone is not enough: the pod has to be in the service's namespace.
		{"database-by-label", "foreign", "orders", database + ":5432", false},
		{"own-database", "proof", "orders", database + ":5432", true},
		{"neighbour", "proof", "anything", database + ":5432", false},
		{"migration", "proof", "orders-migrate", database + ":5432", true},
		// Egress is limited to what the service needs: traces over both protocols, and public addresses at port 443.
		{"traces-grpc", "proof", "orders", collector + ":4317", true},
		{"traces-http", "proof", "orders", collector + ":4318", true},
		{"not-traces", "proof", "orders", collector + ":4319", false},
		{"api-server", "proof", "orders", api, false},
		{"api-server-of-others", "foreign", "anything", api, true},
		{"other-service", "proof", "orders", service + ":443", false},
		{"migration-other-service", "proof", "orders-migrate", service + ":443", false},
	}
	for _, a := range attempts {
		run(t, a.namespace, a.name, a.label, image, []string{"migrate"}, map[string]string{
			"ORDERS_DATABASE_URL": "postgres://a:b@" + a.target + "/c?sslmode=disable&connect_timeout=2", "ORDERS_DATABASE_MIGRATE_TIMEOUT": "8s"})
	}
	for _, a := range attempts {
		eventually(t, 2*time.Minute, a.name+" gives up", func() bool {
			return outside.Kubectl(t, "--namespace", a.namespace, "get", "pod", a.name, "--output", "jsonpath={.status.phase}") == "Failed"
		})
		// The last attempt counts: no policy applies to a pod that has just been created.
		log := outside.Kubectl(t, "--namespace", a.namespace, "logs", a.name, "--tail", "1")
		if reached := !strings.Contains(log, "no route to host"); reached != a.reached {
			t.Errorf("%s: reached is %v, want %v:\n%s", a.name, reached, a.reached, outside.Kubectl(t, "--namespace", a.namespace, "logs", a.name))
		}
	}
	figure(t, "8 network policies", "a foreign pod reaches the public port, but neither the admin port, which monitoring reaches, nor the database; the service reaches its database and a trace collector, but neither the API server nor another service")
}

// applyPolicies applies the network policies of the base and of the components postgres and migration, and none of their other objects.
func (f *fixture) applyPolicies(t *testing.T, namespace string) {
	t.Helper()
	dir := "k8s/" + namespace
	if err := os.MkdirAll(filepath.Join(f.clone(), dir), 0o750); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(filepath.Join(f.clone(), dir)) })
	f.write(t, filepath.Join(dir, "kustomization.yaml"), "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: "+namespace+
		"\nresources: [../base]\ncomponents: [../components/postgres, ../components/migration]\n")
	var policies []string
	for document := range strings.SplitSeq(outside.Command(t, f.clone(), "platform", "kubectl", "kustomize", dir), "\n---\n") {
		if strings.Contains(document, "kind: NetworkPolicy") {
			policies = append(policies, document)
		}
	}
	if len(policies) != 3 {
		t.Fatalf("%d network policies, want those of the service, its migration and the database", len(policies))
	}
	file := filepath.Join(t.TempDir(), "policies.yaml")
	write(t, file, strings.Join(policies, "\n---\n"))
	outside.Kubectl(t, "apply", "--filename", file)
}

// run starts a pod.
func run(t *testing.T, namespace, name, label, image string, args []string, env map[string]string) {
	t.Helper()
	type object = map[string]any
	var variables []object
	for key, value := range env {
		variables = append(variables, object{"name": key, "value": value})
	}
	text, err := json.Marshal(object{"apiVersion": "v1", "kind": "Pod", "metadata": object{"name": name, "labels": object{"app.kubernetes.io/name": label, "app.kubernetes.io/part-of": "slipway"}},
		"spec": object{"restartPolicy": "Never", "automountServiceAccountToken": false, "securityContext": object{"fsGroup": 65532}, "volumes": []object{{"name": "data", "emptyDir": object{}}},
			"containers": []object{{"name": "main", "image": image, "args": args, "env": variables, "volumeMounts": []object{{"name": "data", "mountPath": "/data"}},
				// The names of ports in the policies.
				"ports": []object{{"name": "http", "containerPort": 8080}, {"name": "admin", "containerPort": 8081}, {"name": "postgres", "containerPort": 5432}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pod.json")
	write(t, file, string(text))
	outside.Kubectl(t, "--namespace", namespace, "apply", "--filename", file)
}

// address waits until a pod serves, and returns its address.
func address(t *testing.T, namespace, name string) string {
	t.Helper()
	eventually(t, 2*time.Minute, name+" serves", func() bool {
		return strings.Contains(outside.Kubectl(t, "--namespace", namespace, "get", "pod", name, "--output", "jsonpath={.status.phase}"), "Running") &&
			strings.Contains(outside.Kubectl(t, "--namespace", namespace, "logs", name), "serving")
	})
	return fmt.Sprint(outside.Kubectl(t, "--namespace", namespace, "get", "pod", name, "--output", "jsonpath={.status.podIP}"))
}
