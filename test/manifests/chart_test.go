package manifests

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// helmModule is the command that renders the chart, built from its Go module.
const helmModule = "helm.sh/helm/v3/cmd/helm@v3.22.0"

// TestChart compares the objects of the Helm chart with those of the kustomizations: each switch of the chart is a component.
func TestChart(t *testing.T) {
	s := &apiServer{hyperkube: hyperkube(t)}
	helm := buildHelm(t)
	chart := filepath.Join(k8s, "chart")
	template := func(t *testing.T, values ...string) ([]byte, error) {
		t.Helper()
		args := append([]string{"template", "orders", chart, "--kube-version", "1.34.0", "--namespace", "orders"}, values...)
		return exec.CommandContext(t.Context(), helm, args...).CombinedOutput() // #nosec G204 -- built above
	}
	if out, err := exec.CommandContext(t.Context(), helm, "lint", "--strict", "--kube-version", "1.34.0", chart).CombinedOutput(); err != nil { // #nosec G204 -- built above
		t.Errorf("helm lint: %v\n%s", err, out)
	}
	same := func(t *testing.T, kustomization string, values ...string) {
		t.Helper()
		rendered, err := template(t, values...)
		if err != nil {
			t.Fatalf("%v\n%s", err, rendered)
		}
		want, got := objects(t, render(t, s, kustomization)), objects(t, rendered)
		for name := range want {
			if !reflect.DeepEqual(got[name], want[name]) {
				t.Errorf("%s differs:\nchart:\n%s\nkustomization:\n%s", name, text(t, got[name]), text(t, want[name]))
			}
		}
		for name := range got {
			if want[name] == nil {
				t.Errorf("only the chart has %s", name)
			}
		}
	}

	for _, c := range []struct {
		name       string
		components []string
		values     []string
	}{
		{"base", nil, nil},
		{"hpa", []string{"hpa"}, []string{"autoscaling.enabled=true"}},
		{"ingress", []string{"ingress"}, []string{"ingress.enabled=true"}},
		{"ingress-tls", []string{"ingress", "ingress-tls"}, []string{"ingress.enabled=true", "ingress.tls.enabled=true"}},
		{"monitoring", []string{"monitoring"}, []string{"podMonitor.enabled=true"}},
		{"migration", []string{"migration"}, []string{"migration.enabled=true"}},
		{"all", []string{"ingress", "ingress-tls", "hpa", "monitoring", "migration"},
			[]string{"ingress.enabled=true", "ingress.tls.enabled=true", "autoscaling.enabled=true", "podMonitor.enabled=true", "migration.enabled=true"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			same(t, kustomization(t, "orders-"+c.name, c.components...), set(c.values...)...)
		})
	}
	for overlay, values := range map[string][]string{
		"staging":    {"ingress.enabled=true", "ingress.host=orders-staging.localhost"},
		"production": {"ingress.enabled=true", "ingress.host=orders-production.localhost", "replicas=3"},
		"review":     {"replicas=1"},
	} {
		t.Run(overlay, func(t *testing.T) { same(t, filepath.Join(k8s, "overlays", overlay), set(values...)...) })
	}

	digest := "sha256:" + strings.Repeat("a", 64)
	t.Run("digest", func(t *testing.T) {
		out, err := template(t, set("image.repository=registry.example.com/orders", "image.digest="+digest, "migration.enabled=true")...)
		if err != nil || bytes.Count(out, []byte("image: registry.example.com/orders@"+digest+"\n")) != 2 {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("env", func(t *testing.T) {
		out, err := template(t, set("env.ORDERS_AUTH_MODE=jwt")...)
		if err != nil || bytes.Count(out, []byte("name: ORDERS_AUTH_MODE")) != 1 || !bytes.Contains(out, []byte(`value: "jwt"`)) {
			t.Errorf("%v\n%s", err, out)
		}
	})
	for wrong, says := range map[string]string{"image.digest=latest": "digest", "replica=3": "replica", "autoscaling.minReplicas=0": "minReplicas"} {
		t.Run(wrong, func(t *testing.T) {
			if out, err := template(t, set(wrong)...); err == nil || !bytes.Contains(out, []byte(says)) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func set(values ...string) (flags []string) {
	for _, v := range values {
		flags = append(flags, "--set", v)
	}
	return flags
}

func buildHelm(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	c := exec.CommandContext(t.Context(), "go", "install", "-trimpath", "-ldflags=-s -w", helmModule) // #nosec G204 -- a constant
	c.Dir = dir
	c.Env = append(os.Environ(), "GOBIN="+dir, "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go install %s: %v\n%s", helmModule, err, out)
	}
	return filepath.Join(dir, "helm")
}

// objects returns the objects of manifests by kind and name, without their namespace, which the installer of a chart chooses, and without
// the comments in the configuration.
func objects(t *testing.T, manifests []byte) map[string]any {
	t.Helper()
	all := map[string]any{}
	for decoder := yaml.NewDecoder(bytes.NewReader(manifests)); ; {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
		}
		var node yaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := errors.Join(node.Decode(&o), node.Decode(&object)); err != nil {
			t.Fatal(err)
		}
		if len(object) == 0 {
			continue
		}
		delete(object["metadata"].(map[string]any), "namespace")
		if data, ok := object["data"].(map[string]any); ok && o.Kind == "ConfigMap" {
			for name, value := range data {
				data[name] = withoutComments(value.(string))
			}
		}
		all[o.Kind+" "+o.Metadata.Name] = object
	}
}

func withoutComments(config string) string {
	var b strings.Builder
	for line := range strings.Lines(config) {
		if !strings.HasPrefix(line, "#") {
			b.WriteString(line)
		}
	}
	return strings.TrimSpace(b.String())
}

func text(t *testing.T, object any) []byte {
	t.Helper()
	out, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
