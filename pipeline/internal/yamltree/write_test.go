package yamltree_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// TestWriteKeepsAnyText writes texts and reads them again, as keys and as values.
func TestWriteKeepsAnyText(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.String(),
			rapid.StringMatching(`[ -~\n\t]{0,30}`),
			rapid.SampledFrom([]string{"yes", "on", "1:30", "0755", "~", "null", "a: b", "a #b", "- a", "|", "", " ", "\n", "a\n", "a\n\n", "a\n b\n", ".5", "1e3", "!x", "&a", "*a", "{}", "[]", "---", "'", "\"", "\\", "é", "\u2028", "\ufeff", "a:", "a: ", "a\tb", "2026-01-01"}),
		).Draw(t, "text")
		at := yamltree.Position{File: "x", Line: 1, Column: 1}
		value := yamltree.NewString(text, at)
		root := yamltree.NewMapping([]yamltree.Pair{
			{Key: yamltree.NewString("k"+text, at), Value: yamltree.NewMapping([]yamltree.Pair{
				{Key: yamltree.NewString("value", at), Value: value},
				{Key: yamltree.NewString("list", at), Value: yamltree.NewSequence([]*yamltree.Node{value, yamltree.NewSequence([]*yamltree.Node{value}, at)}, at)},
			}, at)},
		}, at)
		var out strings.Builder
		if err := yamltree.Write(&out, root, false); err != nil {
			t.Fatal(err)
		}
		documents, err := yamltree.Parse("x", []byte(out.String()))
		if err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		got := documents[0].Get("k" + text)
		for _, n := range []*yamltree.Node{got.Get("value"), got.Get("list").Items[0], got.Get("list").Items[1].Items[0]} {
			if !n.Is(yamltree.String) || n.Text != text {
				t.Fatalf("%q was read as %v %q\n%s", text, n.Kind, n.Text, out.String())
			}
		}
	})
}
