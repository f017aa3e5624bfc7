package consumers

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestOverlays builds the manifests of every environment of the reference service, including review, which its own pipeline does not use.
func TestOverlays(t *testing.T) {
	t.Parallel()
	outside.Program(t, "kubectl", "KUBECTL", "`platform bin` prints a folder that has one")
	for environment, ingress := range map[string]bool{"review": false, "staging": true, "production": true} {
		t.Run(environment, func(t *testing.T) {
			t.Parallel()
			out, err := exec.CommandContext(t.Context(), "kubectl", "kustomize", filepath.Join(root, "k8s", "overlays", environment)).CombinedOutput() //nolint:gosec // a fixed list
			manifests := string(out)
			if err != nil {
				t.Fatalf("%v\n%s", err, manifests)
			}
			for _, name := range strings.Split(manifests, "\n---\n") {
				if !strings.Contains(name, "\n  namespace: orders-"+environment) {
					t.Errorf("want an object in the namespace of the environment:\n%s", name)
				}
			}
			// Reviews would share the host name of an Ingress.
			if strings.Contains(manifests, "kind: Ingress\n") != ingress {
				t.Errorf("want an Ingress: %t, got\n%s", ingress, manifests)
			}
		})
	}
}
