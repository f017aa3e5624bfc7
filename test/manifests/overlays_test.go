package manifests

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// TestOverlays checks that an overlay chooses components, sizes and its place, and nothing else: what it does otherwise is a component's.
func TestOverlays(t *testing.T) {
	t.Parallel()
	keys := []string{"apiVersion", "kind", "namespace", "resources", "components", "replicas", "patches"}
	place := regexp.MustCompile(`^/spec/(rules/0/host|ports/0/nodePort|template/spec/nodeSelector|minReplicas|maxReplicas|template/spec/containers/0/resources(/.*)?)$`)
	for _, name := range folders(t, "overlays") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			overlay := readYAML(t, filepath.Join(k8s, "overlays", name, "kustomization.yaml"))
			for key := range overlay {
				if !slices.Contains(keys, key) {
					t.Errorf("it has %s", key)
				}
			}
			if resources := overlay["resources"].([]any); len(resources) != 1 || resources[0] != "../../base" {
				t.Errorf("it has resources of its own: %v", resources)
			}
			components, _ := overlay["components"].([]any)
			for _, c := range components {
				if !strings.HasPrefix(c.(string), "../../components/") {
					t.Errorf("it has a component of its own: %v", c)
				}
			}
			patches, _ := overlay["patches"].([]any)
			for _, p := range patches {
				text, _ := p.(map[string]any)["patch"].(string)
				var operations []struct{ Path string }
				if err := yaml.Unmarshal([]byte(text), &operations); err != nil {
					t.Errorf("a patch is not a list of JSON patch operations: %v\n%s", err, text)
				}
				for _, o := range operations {
					if !place.MatchString(o.Path) {
						t.Errorf("it changes %s", o.Path)
					}
				}
			}
		})
	}
}
