package executor

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAliases(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, given string
		want        []string
	}{
		{"postgres:16", "", []string{"postgres"}},
		{"registry.example.com:5000/group/db@sha256:0a", "", []string{"registry.example.com-group-db", "registry.example.com__group__db"}},
		{"redis", "cache, store", []string{"cache", "redis", "store"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, aliases(tt.name, tt.given)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		})
	}
}
