package check_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/parsed"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

func TestChecks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, yaml string
		check      func(*check.Checker, *check.Path, *yamltree.Node)
		want       string // empty if the value is valid
	}{
		{"known keys", "{a: 1, b: 2}", func(c *check.Checker, p *check.Path, n *yamltree.Node) { c.AllowedKeys(p, n, "a", "b") }, ""},
		{"unknown key", "{image: 1, imagee: 2}", func(c *check.Checker, p *check.Path, n *yamltree.Node) { c.AllowedKeys(p, n, "image") },
			`job: unknown key "imagee" (did you mean image?)`},
		{"exclusive keys", "{a: 1, b: 2}", func(c *check.Checker, p *check.Path, n *yamltree.Node) { c.Exclusive(p, n, "a", "b") },
			"job: a and b cannot be used together (keep one of them)"},
		{"missing key", "{a: 1}", func(c *check.Checker, p *check.Path, n *yamltree.Node) { c.RequiredKeys(p, n, "b") }, "job: the key b is missing ()"},
		{"null is no string and valid", "{a: null}", func(c *check.Checker, p *check.Path, n *yamltree.Node) { c.OptionalString(p, n, "a") }, ""},
		{"number for a string", "{a: 1}", func(c *check.Checker, p *check.Path, n *yamltree.Node) { c.OptionalString(p, n, "a") },
			"job:a: should be a string, not the integer 1 (put it in quotes)"},
		{"condition", "{if: $A ==}", func(c *check.Checker, p *check.Path, n *yamltree.Node) { c.Condition(p, n.Get("if")) },
			`job:if: "$A ==" is not a valid condition: an operator lacks a value at character 4 ()`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			documents, err := yamltree.Parse("f.yml", []byte(c.yaml))
			if err != nil {
				t.Fatal(err)
			}
			checker := &check.Checker{Parsed: new(parsed.Cache)}
			c.check(checker, check.NewPath("job"), documents[0])
			var got []string
			for _, p := range checker.Problems {
				if p.Position.File != "f.yml" || p.Position.Line != 1 {
					t.Errorf("the problem is at %v", p.Position)
				}
				got = append(got, p.Path+": "+p.Message+" ("+p.Hint+")")
			}
			if got := strings.Join(got, "\n"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestLongTextsAreCut(t *testing.T) {
	t.Parallel()
	cut := check.Cut(strings.Repeat("ä", 1000))
	if len(cut) > 503 || !strings.HasSuffix(cut, "...") || !utf8.ValidString(cut) {
		t.Errorf("%d bytes: %q", len(cut), cut)
	}
	if short := strings.Repeat("a", 500); check.Cut(short) != short {
		t.Error("a text of 500 bytes is cut")
	}
}
