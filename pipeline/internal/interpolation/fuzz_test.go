package interpolation

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// FuzzInterpolation puts inputs into any text.
func FuzzInterpolation(f *testing.F) {
	for _, seed := range []string{
		"$[[ inputs.a ]]", "x $[[ inputs.a | truncate(0,2) ]] y", "$[[ inputs.l[1] ]]", "$[[ inputs.a | expand_vars | posix_escape ]]",
		"$[[ matrix.A ]]", "$[[ ]]", "$[[inputs.a]]$[[inputs.b]]", "$[[ inputs.l[0][1] ]]", "$[[ inputs.a | truncate(99999999999999999999,1) ]]",
		"$[[ inputs.a.b.c.d.e.f ]]", "$[[", "]]", `$[[ inputs.a ]]\0`,
	} {
		f.Add(seed, `v\0&`)
	}
	at := yamltree.Position{File: "f.yml", Line: 1, Column: 1}
	pattern := regexp.MustCompile(`\$\[\[\s*(\S.*?\S)\s*\]\]`)
	f.Fuzz(func(t *testing.T, text, value string) {
		if utf8.ValidString(text) && !strings.Contains(text, "\v") { // Go's \s lacks it
			var want []block
			for _, m := range pattern.FindAllStringSubmatch(text, -1) {
				want = append(want, block{m[0], m[1]})
			}
			if got := blocks(text); !slices.Equal(got, want) {
				t.Fatalf("blocks of %q: %q, want %q", text, got, want)
			}
		}
		inputs, err := yamltree.FromAny(map[string]any{"inputs": map[string]any{"a": value, "b": 3, "l": []any{value, []any{value}}}}, at)
		if err != nil {
			t.Fatal(err)
		}
		tree := yamltree.NewMapping([]yamltree.Pair{{Key: yamltree.NewString(text, at), Value: yamltree.NewString(text, at)}}, at)
		out, wrong := Apply(tree, Context{Values: inputs, Variable: func(name string) (string, bool, bool) {
			return value, name == "MASKED", name != "UNSET"
		}})
		if (out == nil) == (len(wrong) == 0) {
			t.Fatal("neither a result nor an error")
		}
	})
}
