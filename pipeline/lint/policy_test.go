package lint

import "testing"

func TestAllowsImage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, entry, image string
		want               bool
	}{
		{"registry", "registry.example.com", "registry.example.com/a/b:1", true},
		{"registry with a port", "localhost:5000", "localhost:5000/a:1", true},
		{"prefix of a name", "registry.example.com", "registry.example.com.evil.example/a:1", false},
		{"short name", "golang", "docker.io/library/golang:1.27", true},
		{"official images", "docker.io/library", "golang:1.27", true},
		{"not an official image", "docker.io/library", "acme/golang:1.27", false},
		{"old name of the registry", "docker.io", "index.docker.io/acme/golang", true},
		{"wildcard", "quay.io/*/golang", "quay.io/acme/golang@sha256:0", true},
		{"wildcard of one level", "quay.io/*/golang", "quay.io/acme/mirror/golang", false},
		{"variable", "$CI_REGISTRY_IMAGE", "$CI_REGISTRY_IMAGE/tools:1", true},
		{"folder of a wildcard", "quay.io/*", "quay.io/acme/tools:1", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := allowsImage([]string{tt.entry}, tt.image); got != tt.want {
				t.Errorf("%s allows %s: %v", tt.entry, tt.image, got)
			}
		})
	}
}
