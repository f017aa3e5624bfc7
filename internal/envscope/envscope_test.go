package envscope_test

import (
	"testing"

	"gitlab.com/slipway-ci/slipway/internal/envscope"
)

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		scope, environment string
		want               bool
	}{
		{"", "", true},
		{"*", "", true},
		{"*", "review/a", true},
		{"production", "", false},
		{"production", "production", true},
		{"production", "production-eu", false},
		{"prod*", "production/eu", true},
		{"review/*", "review/a/b", true},
		{"review/*/eu", "review/a/b/eu", true},
		{"review/*", "review", false},
		{"a[b]?", "a[b]?", true},
		{"a[b]?", "abc", false},
		// Other scopes.
		{"*", "*", true},
		{"review/*", "*", false},
		{"review/*", "review/a*", true},
		{"prod*", "production", true},
		{"production", "prod*", false},
	} {
		t.Run(tt.scope+" of "+tt.environment, func(t *testing.T) {
			t.Parallel()
			if got := envscope.Covers(tt.scope, tt.environment); got != tt.want {
				t.Errorf("%t, want %t", got, tt.want)
			}
		})
	}
}
