package yamltree

import (
	"errors"
	"testing"
)

// FuzzYAML reads any text: the result is documents within the limits, or a *[SyntaxError].
func FuzzYAML(f *testing.F) {
	for _, seed := range []string{
		"a: 1", "a: &x [1, 2]\nb: *x", "<<: {a: 1}\nb: 2", "spec:\n  inputs:\n---\njob: {script: [x]}\n", "a: !reference [b, c]",
		"a: 2026-01-01", "a: 0x1F", "a: 1:30", "a: \"\\u263a\"", "? [complex]\n: key", "---\n---\n---\n", "a: |\n  text\n", "- 1\n- 2",
		"a: &a [*a]", "a: &a {b: *a}", "{", "\t", "a: 'it''s'", "%YAML 1.1\n---\na: yes\n", "a: .inf", "a: 1_000.5e+3", "a: :sym",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		documents, err := Parse("f.yml", content)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) {
				t.Fatalf("a foreign error: %v", err)
			}
			return
		}
		for _, d := range documents {
			if d.Kind != Mapping || d.Size() > MaxSize || d.Depth() > MaxDepth+1 {
				t.Fatalf("kind %s, size %d, depth %d", d.Kind, d.Size(), d.Depth())
			}
			if d.Size() > 10_000 {
				continue
			}
			again, err := FromAny(d.Any(), Position{})
			if err != nil {
				t.Fatal(err)
			}
			Equal(d, again)
			_ = d.RubyText()
		}
	})
}
