package variable_test

import (
	"slices"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
)

func TestExpansion(t *testing.T) {
	t.Parallel()
	value := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "1", "EMPTY": ""}[name]
		return v, ok
	}
	for _, c := range []struct{ text, expand, known, escaped string }{
		{"plain", "plain", "plain", "plain"},
		{"$A-${A}-%A%", "1-1-1", "1-1-1", "1-1-1"},
		{"$NONE.", ".", "$NONE.", "."},
		{"[$EMPTY]", "[]", "[]", "[]"},
		{"$$A", "$1", "$1", "$$A"},
		{"%%A%", "%1", "%1", "%%A%"},
		{"${A", "${A", "${A", "${A"},
		{"$1 100% ${A:-x}", "$1 100% ${A:-x}", "$1 100% ${A:-x}", "$1 100% ${A:-x}"},
	} {
		t.Run(c.text, func(t *testing.T) {
			t.Parallel()
			got := []string{variable.Expand(c.text, value), variable.ExpandKnown(c.text, value), variable.ExpandEscaped(c.text, value)}
			if want := []string{c.expand, c.known, c.escaped}; !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if got, want := variable.Names("$A ${B} %C% $$D $A"), []string{"A", "B", "C", "A"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExpansionIsBounded(t *testing.T) {
	t.Parallel()
	value := func(string) (string, bool) { return strings.Repeat("x", 1000), true }
	if n := len(variable.Expand(strings.Repeat("$A", 10_000), value)); n <= variable.MaxExpanded || n > variable.MaxExpanded+1000 {
		t.Errorf("%d bytes", n)
	}
}
