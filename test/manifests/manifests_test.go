// Package manifests applies k8s/ to a real API server: every overlay, every component, and the manifests that administrators apply once.
package manifests

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const k8s = "../../k8s"

// crds are the Go modules with the custom resource definitions of other projects.
var crds = []struct{ module, files string }{
	{"github.com/argoproj/argo-cd/v3@v3.6.1", "manifests/crds/application-crd.yaml"},
	{"github.com/argoproj/argo-rollouts@v1.10.2", "manifests/crds/*-crd.yaml"},
	{"github.com/cert-manager/cert-manager@v1.21.2", "deploy/crds/*.yaml"},
	{"github.com/fluxcd/kustomize-controller@v1.9.6", "config/crd/bases/*.yaml"},
	{"github.com/fluxcd/source-controller@v1.9.6", "config/crd/bases/*.yaml"},
	{"github.com/kedacore/keda/v2@v2.21.0", "config/crd/bases/*.yaml"},
	{"github.com/kyverno/kyverno@v1.19.1", "config/crds/kyverno/*.yaml"},
	{"github.com/prometheus-operator/prometheus-operator@v0.85.0", "example/prometheus-operator-crd/*.yaml"},
	{"github.com/traefik/traefik/v3@v3.0.4", "docs/content/reference/dynamic-configuration/traefik.io_*.yaml"},
	{"istio.io/api@v1.32.0", "kubernetes/customresourcedefinitions.gen.yaml"},
	{"sigs.k8s.io/gateway-api@v1.7.0", "config/crd/standard/*.yaml"},
}

// companions are the components that another one needs.
var companions = map[string][]string{
	"canary-traefik":  {"traefik"},
	"hpa-requests":    {"hpa"},
	"ingress-tls":     {"ingress"},
	"ingress-version": {"ingress"},
}

func TestManifests(t *testing.T) {
	s := startAPIServer(t)
	for _, c := range crds {
		files, err := filepath.Glob(filepath.Join(moduleDir(t, c.module), c.files))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s has no %s: %v", c.module, c.files, err)
		}
		for _, f := range files {
			if out, err := s.kubectl(t, nil, "apply", "--server-side", "--filename", f); err != nil {
				t.Fatalf("%s: %v\n%s", f, err, out)
			}
		}
	}
	if out, err := s.kubectl(t, nil, "wait", "--for", "condition=Established", "crd", "--all", "--timeout", "60s"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	offline := newKubeconform(t, s)
	apply := func(t *testing.T, manifests []byte, args ...string) {
		t.Helper()
		conform(t, offline, manifests)
		s.apply(t, manifests, args...)
	}
	rbac := render(t, s, filepath.Join(k8s, "cluster", "rbac"))
	// deploy applies manifests as the deployer, too: a kind that its role does not have would stop a rollout halfway.
	deploy := func(t *testing.T, namespace string, manifests []byte) {
		t.Helper()
		s.namespace(t, namespace)
		apply(t, manifests)
		s.apply(t, rbac, "--namespace", namespace)
		if out, err := s.kubectl(t, manifests, "apply", "--dry-run=server", "--as", "system:serviceaccount:"+namespace+":deployer", "--filename", "-"); err != nil {
			_, refused, _ := strings.Cut(out, "Error") // what is before it are warnings
			t.Errorf("the deployer may not apply it: %v\n%s", err, refused)
		}
	}
	t.Run("overlays", func(t *testing.T) {
		for _, name := range folders(t, "overlays") {
			t.Run(name, func(t *testing.T) {
				deploy(t, "orders-"+name, render(t, s, filepath.Join(k8s, "overlays", name)))
			})
		}
	})
	t.Run("components", func(t *testing.T) {
		for _, name := range folders(t, "components") {
			t.Run(name, func(t *testing.T) {
				deploy(t, "try-"+name, render(t, s, kustomization(t, "try-"+name, append(companions[name], name)...)))
			})
		}
	})
	t.Run("combinations", func(t *testing.T) { testCombinations(t, s, offline) })
	t.Run("cluster", func(t *testing.T) {
		for _, name := range folders(t, "cluster") {
			t.Run(name, func(t *testing.T) {
				manifests := render(t, s, filepath.Join(k8s, "cluster", name))
				if name == "rbac" || name == "oidc" {
					s.namespace(t, "try-"+name)
					apply(t, manifests, "--namespace", "try-"+name)
					return
				}
				for _, namespace := range []string{"kyverno", "orders-staging", "orders-production", name} {
					s.namespace(t, namespace)
				}
				apply(t, manifests)
			})
		}
	})
	t.Run("admission", func(t *testing.T) { testAdmission(t, s) })
	t.Run("ephemeral containers", func(t *testing.T) { testEphemeral(t, s) })
	t.Run("guarded", func(t *testing.T) { testGuarded(t, s) })
	t.Run("rbac", func(t *testing.T) { testDeployer(t, s) })
	t.Run("remove", func(t *testing.T) { testRemove(t, s) })
}

// folders returns the kustomizations below k8s/kind.
func folders(t *testing.T, kind string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(k8s, kind, "*", "kustomization.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s: %v", kind, err)
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = filepath.Base(filepath.Dir(f))
	}
	return names
}

// kustomization writes one with the base and components, and returns its folder.
func kustomization(t *testing.T, namespace string, components ...string) string {
	t.Helper()
	root, err := filepath.Abs(k8s)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	relative, err := filepath.Rel(dir, root)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: %s\nresources: [%s/base]\ncomponents:\n", namespace, relative)
	for _, c := range components {
		fmt.Fprintf(&b, "  - %s/components/%s\n", relative, c)
	}
	write(t, filepath.Join(dir, "kustomization.yaml"), b.String())
	return dir
}

func (s *apiServer) namespace(t *testing.T, name string, labels ...string) {
	t.Helper()
	if _, err := s.kubectl(t, nil, "create", "namespace", name); err != nil && len(labels) == 0 {
		return // it exists
	}
	for _, l := range labels {
		if out, err := s.kubectl(t, nil, "label", "--overwrite", "namespace", name, l); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
}

// pod returns a pod that every policy accepts, with one line replaced.
func pod(old, replacement string) []byte {
	text := `apiVersion: v1
kind: Pod
metadata:
  name: attempt
spec:
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: main
      image: registry.gitlab.com/slipway-ci/slipway@sha256:` + strings.Repeat("a", 64) + `
      securityContext:
        allowPrivilegeEscalation: false
        capabilities: {drop: [ALL]}
`
	return []byte(strings.Replace(text, old, replacement, 1))
}

// testAdmission tries pods that break one rule each.
func testAdmission(t *testing.T, s *apiServer) {
	s.namespace(t, "guarded", "slipway.dev/admission=enforce")
	s.namespace(t, "free")
	digest := "@sha256:" + strings.Repeat("a", 64)
	for _, c := range []struct{ name, old, replacement, refusal string }{
		{"a valid pod", "", "", ""},
		{"a tag", digest, ":1.2.3", "is not pinned by digest"},
		{"latest", "slipway" + digest, "slipway:latest", "is not pinned by digest"},
		{"a foreign registry", "registry.gitlab.com", "docker.io", "is from none of the registries"},
		{"a registry with the same prefix", "registry.gitlab.com/", "registry.gitlab.com.example.net/", "is from none of the registries"},
		{"root by number", "runAsUser: 65532", "runAsUser: 0", "must not run as root"},
		{"root by omission", "runAsNonRoot: true", "runAsNonRoot: false", "must not run as root"},
		{"no seccomp", "seccompProfile: {type: RuntimeDefault}", "seccompProfile: {type: Unconfined}", "seccompProfile"},
		{"privilege escalation", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "must drop all capabilities"},
		{"capabilities", "drop: [ALL]", "drop: [NET_RAW]", "must drop all capabilities"},
		{"added capabilities", "drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]", "must drop all capabilities"},
		{"a port of the node", "      securityContext:", "      ports: [{containerPort: 80, hostPort: 80}]\n      securityContext:", "must not use the node's"},
		{"the node's network", "  containers:", "  hostNetwork: true\n  containers:", "must not use the node's"},
		{"the node's files", "  containers:", "  volumes: [{name: node, hostPath: {path: /}}]\n  containers:", "must not use the node's"},
		{"an init container", "  containers:", "  initContainers: [{name: first, image: \"docker.io/library/busybox:1\"}]\n  containers:", "is not pinned by digest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			manifest := pod(c.old, c.replacement)
			out, err := s.kubectl(t, manifest, "--namespace", "guarded", "create", "--dry-run=server", "--filename", "-")
			if c.refusal == "" {
				if err != nil {
					t.Errorf("refused: %s", out)
				}
				return
			}
			if err == nil || !strings.Contains(out, c.refusal) {
				t.Errorf("want a refusal with %q, got %v: %s", c.refusal, err, out)
			}
			if out, err := s.kubectl(t, manifest, "--namespace", "free", "create", "--dry-run=server", "--filename", "-"); err != nil {
				t.Errorf("refused in a namespace without the label: %s", out)
			}
		})
	}
}

// testEphemeral adds containers to a pod that runs, as `kubectl debug` does.
func testEphemeral(t *testing.T, s *apiServer) {
	for _, namespace := range []string{"guarded", "free"} {
		if out, err := s.kubectl(t, pod("", ""), "--namespace", namespace, "create", "--filename", "-"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	const restricted = `"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}`
	for _, c := range []struct{ name, context, refusal string }{
		{"a valid one", restricted, ""},
		{"added capabilities", `"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"],"add":["SYS_PTRACE"]}`, "must drop all capabilities"},
		{"privilege escalation", `"capabilities":{"drop":["ALL"]}`, "must drop all capabilities"},
		{"root", restricted + `,"runAsUser":0`, "must not run as root"},
		{"no seccomp", restricted + `,"seccompProfile":{"type":"Unconfined"}`, "seccompProfile"},
	} {
		t.Run(c.name, func(t *testing.T) {
			add := func(namespace string) (string, error) {
				running, err := s.kubectl(t, nil, "--namespace", namespace, "get", "pod/attempt", "--output", "json")
				if err != nil {
					t.Fatalf("%v\n%s", err, running)
				}
				image := "registry.gitlab.com/slipway-ci/debug@sha256:" + strings.Repeat("b", 64)
				changed := strings.Replace(running, `"spec": {`, `"spec": {"ephemeralContainers": [{"name":"debug","image":"`+image+`","securityContext":{`+c.context+`}}],`, 1)
				return s.kubectl(t, []byte(changed), "replace", "--raw", "/api/v1/namespaces/"+namespace+"/pods/attempt/ephemeralcontainers?dryRun=All", "--filename", "-")
			}
			if out, err := add("guarded"); (err == nil) != (c.refusal == "") || !strings.Contains(out, c.refusal) {
				t.Errorf("want a refusal with %q, got %v: %s", c.refusal, err, out)
			}
			if out, err := add("free"); err != nil {
				t.Errorf("refused in a namespace without the label: %s", out)
			}
		})
	}
}

// testGuarded creates the pods of all overlays and components in a namespace with the policy, their images pinned in its registry.
func testGuarded(t *testing.T, s *apiServer) {
	var kustomizations []string
	for _, name := range folders(t, "overlays") {
		kustomizations = append(kustomizations, filepath.Join(k8s, "overlays", name))
	}
	for _, name := range folders(t, "components") {
		kustomizations = append(kustomizations, kustomization(t, "guarded", append(companions[name], name)...))
	}
	var pods bytes.Buffer
	n := 0
	for _, dir := range kustomizations {
		for name, o := range objects(t, render(t, s, dir)) {
			spec, _ := o.(map[string]any)["spec"].(map[string]any)
			template, ok := spec["template"].(map[string]any)
			if !ok {
				continue
			}
			podSpec := template["spec"].(map[string]any)
			for _, c := range podSpec["containers"].([]any) {
				c.(map[string]any)["image"] = "registry.gitlab.com/slipway-ci/slipway@sha256:" + strings.Repeat("a", 64)
			}
			claims, _ := spec["volumeClaimTemplates"].([]any)
			for _, c := range claims {
				volumes, _ := podSpec["volumes"].([]any)
				podSpec["volumes"] = append(volumes, map[string]any{"name": c.(map[string]any)["metadata"].(map[string]any)["name"], "emptyDir": map[string]any{}})
			}
			if policy, _ := podSpec["restartPolicy"].(string); policy == "" {
				podSpec["restartPolicy"] = "Always"
			}
			n++
			fmt.Fprintf(&pods, "---\n# %s in %s\n%s", name, dir, text(t, map[string]any{"apiVersion": "v1", "kind": "Pod",
				"metadata": map[string]any{"name": fmt.Sprintf("pod-%d", n), "namespace": "guarded"}, "spec": podSpec}))
		}
	}
	if out, err := s.kubectl(t, pods.Bytes(), "create", "--dry-run=server", "--filename", "-"); err != nil || strings.Count(out, "created") != n || n < len(kustomizations) {
		t.Errorf("%d of %d pods accepted: %v\n%s", strings.Count(out, "created"), n, err, out)
	}
}

// testDeployer checks what the deployer is allowed to do, and what not.
func testDeployer(t *testing.T, s *apiServer) {
	const account = "system:serviceaccount:try-rbac:deployer"
	for _, c := range []struct {
		verb, resource, namespace string
		want                      bool
	}{
		{"patch", "deployments.apps", "try-rbac", true},
		{"create", "services", "try-rbac", true},
		{"get", "services/proxy", "try-rbac", true},
		{"create", "jobs.batch", "try-rbac", true},
		{"watch", "pods", "try-rbac", true},
		{"patch", "rollouts.argoproj.io/status", "try-rbac", true},
		{"patch", "ingressroutes.traefik.io", "try-rbac", true},
		{"patch", "traefikservices.traefik.io", "try-rbac", true},
		{"get", "serverstransports.traefik.io", "try-rbac", false},
		{"create", "leases.coordination.k8s.io", "try-rbac", true},
		{"update", "leases.coordination.k8s.io", "try-rbac", true},
		{"get", "leases.coordination.k8s.io", "kube-system", false},
		{"create", "analysisruns.argoproj.io", "try-rbac", false},
		{"get", "secrets", "try-rbac", false},
		{"list", "secrets", "try-rbac", false},
		{"create", "secrets", "try-rbac", false},
		{"create", "pods", "try-rbac", false},
		{"create", "pods/exec", "try-rbac", false},
		{"create", "pods/attach", "try-rbac", false},
		{"create", "pods/ephemeralcontainers", "try-rbac", false},
		{"create", "serviceaccounts/token", "try-rbac", false},
		{"create", "roles.rbac.authorization.k8s.io", "try-rbac", false},
		{"create", "rolebindings.rbac.authorization.k8s.io", "try-rbac", false},
		{"escalate", "roles.rbac.authorization.k8s.io", "try-rbac", false},
		{"impersonate", "users", "", false},
		{"patch", "namespaces", "", false},
		{"get", "nodes", "", false},
		{"patch", "deployments.apps", "default", false},
		{"get", "pods", "kube-system", false},
		{"create", "validatingadmissionpolicies.admissionregistration.k8s.io", "", false},
	} {
		args := []string{"auth", "can-i", c.verb, c.resource, "--as", account}
		if resource, sub, ok := strings.Cut(c.resource, "/"); ok {
			args = []string{"auth", "can-i", c.verb, resource, "--subresource", sub, "--as", account}
		}
		if c.namespace != "" {
			args = append(args, "--namespace", c.namespace)
		} else {
			args = append(args, "--all-namespaces")
		}
		t.Run(c.verb+" "+c.resource+" in "+c.namespace, func(t *testing.T) {
			out, err := s.kubectl(t, nil, args...)
			if allowed := strings.HasSuffix(strings.TrimSpace(out), "yes"); allowed != c.want {
				t.Errorf("allowed is %v, want %v (%v): %s", allowed, c.want, err, out)
			}
		})
	}
}

func TestMain(m *testing.M) {
	// kubectl reads it, and a test must not reach a real cluster.
	_ = os.Unsetenv("KUBECONFIG")
	os.Exit(m.Run())
}
