package yamltree

import (
	"fmt"
	"strings"
	"testing"
)

// TestLibyaml has texts on which libyaml 0.2.5, which GitLab uses, and a parser of YAML 1.2 disagree.
func TestLibyaml(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxKey+6)
	for _, text := range []string{
		"a: {c:}", "a: {c:,d}", "a: [b:, c]", "a: {c:[d]}", "a: {c:?d}", "a: [b? : ?c]", "a: [:symbol]", "a: {b: :c}", "a: [::c]", "a: [:]",
		"{: x}", "a: {: x}", ": x", "a: {b\n  c: d}", "a: {\"b\"\n  : c}", "a: {'b\n  c': d}", "a: {\n  b: c\n  d: e\n}",
		"a: {b::}", "a: &x.y 1", "a: &x:y 1", long + ": y", "\"" + long + "\": y", "{" + long + ": y}",
		"a:\n  - b\n\t", "a:\n  - b\n  \t\nc: d", "a:\n\t\n  - b", "a:\n\t# comment\n  - b", "a: \x7f", "a: \u0080",
		`a: "\'"`, `a: "\d"`, `a: "\$"`, `a: "\u12"`, `a: "\."`,
	} {
		t.Run(fmt.Sprintf("%.40q", text), func(t *testing.T) {
			if documents, err := Parse("f.yml", []byte(text)); err == nil {
				t.Errorf("%.40q is read as %s", text, documents[0].RubyText())
			}
		})
	}
	for text, want := range map[string]string{
		"a: \"b\"#c":               `{:a=>"b"}`,
		"a: [b,#c\n d]#e\nf: 'g'#": `{:a=>["b", "d"], :f=>"g"}`,
		"a: |#c\n  x":              `{:a=>"x"}`,
		"{a: b}\nc: d":             `{:a=>"b"}`,

		"a: {b:: c, d : e}":       `{:a=>{:"b:"=>"c", :d=>"e"}}`,
		"a: {\"b\":c}":            `{:a=>{:b=>"c"}}`,
		"a: {\"b\":[c]}":          `{:a=>{:b=>["c"]}}`,
		"a: [http://b]":           `{:a=>["http://b"]}`,
		"a: {? b\n  : c}":         `{:a=>{:b=>"c"}}`,
		"? " + long + "\n: y":     "{:" + long + `=>"y"}`,
		"a: b\n \t\nc: d":         `{:a=>"b", :c=>"d"}`,
		"a: |\n  b\n  \t\n  c":    `{:a=>"b\n\t\nc"}`,
		"a: \"b\n\t\n\tc\"":       `{:a=>"b\nc"}`,
		"a: {&x b: &y c, d: *x }": `{:a=>{:b=>"c", :d=>"b"}}`,
		"a: {'b?': '?c', d: e?f}": `{:a=>{:b?=>"?c", :d=>"e?f"}}`,
		`a: "\/\e\x41\u263a\_"`:   "{:a=>\"/\\eA☺\u00a0\"}",
	} {
		t.Run(text, func(t *testing.T) {
			documents, err := Parse("f.yml", []byte(text))
			if err != nil {
				t.Errorf("%.40q: %v", text, err)
			} else if got := documents[0].RubyText(); got != want {
				t.Errorf("%.40q\ngot  %s\nwant %s", text, got, want)
			}
		})
	}
}
