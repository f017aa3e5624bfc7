package consumers

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestDeliveryOverlays builds the manifests of every environment of the reference service, that of reviews included, which its own
// pipeline does not use.
func TestDeliveryOverlays(t *testing.T) {
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
					t.Errorf("this is of another namespace:\n%s", name)
				}
			}
			// Two reviews with one host name would get each other's requests.
			if strings.Contains(manifests, "kind: Ingress\n") != ingress {
				t.Errorf("an Ingress should be there: %t\n%s", ingress, manifests)
			}
		})
	}
}
