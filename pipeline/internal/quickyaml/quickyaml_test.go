package quickyaml_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/quickyaml"
)

// plain is a node without what the quick reader leaves out.
func plain(n *yaml.Node) *yaml.Node {
	if n == nil {
		return nil
	}
	c := &yaml.Node{Kind: n.Kind, Style: n.Style, Tag: n.ShortTag(), Value: n.Value, Anchor: n.Anchor, Line: n.Line, Column: n.Column}
	for _, child := range n.Content {
		c.Content = append(c.Content, plain(child))
	}
	return c
}

// check compares both readers; it says whether the quick one read the text.
func check(t *testing.T, text []byte) bool {
	t.Helper()
	got, ok := quickyaml.Parse(text)
	if !ok {
		return false
	}
	want := new(yaml.Node)
	if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(want); err != nil {
		t.Fatalf("%q: read, but the full parser says: %v", text, err)
	}
	if diff := cmp.Diff(plain(want), plain(got)); diff != "" {
		t.Fatalf("%q (-full +quick):\n%s", text, diff)
	}
	return true
}

func TestReads(t *testing.T) {
	for _, text := range readTexts {
		if !check(t, []byte(text)) {
			t.Errorf("declined: %q", text)
		}
	}
}

var readTexts = []string{
	"a: b\n",
	"a: b",
	"  a: b\n  c: d\n",
	"- a\n- b\n",
	"# first\na:   # second\n  - b # third\n\n  # fourth\n  - c\n",
	"a:\n- b\n- c\nd: e\n",
	"a:\n  - b\n  -\n  - - c\n    - d\n  - e: f\n    g: h\n",
	"a:\n  -\n    b: c\n",
	"a:\nb:\n  c:\nd:\n",
	"a: one\n  two\n\n  three # end\nb: x\n",
	"a:\n  one\n  two\nb: x\n",
	"- one\n  two\n- three\n",
	"a: \"b\\n\\\"c\\\"\"\n'd e': 'it''s' # x\n\"f\" : g\n",
	"a: |\n  one\n   two\n\n  three\nb: |-\n  x\n\n\nc: |+\n  y\n\n\nd: >\n  one\n  two\n\n  three\n   four\n  five\ne: >-\n  a\n  b\n",
	"a: |2\n   one\n  two\n",
	"a:\n  - |\n    w\n    \tx\n  - >- # folded\n    y\n    z\n",
	"a: |\n  x",
	"a: |\n  x\n  \n   \n",
	"a: [b, 'c', \"d\", [e], {f: g}, ]\n",
	"a: [\n  b,\n  c\n]\nd: {}\ne: []\n",
	"a: {b: c, \"d e\": [f], 'g': h:i}\n",
	"a: !reference [.b, script]\nc:\n  - !reference [.d]\n",
	"a: [!reference [b, c], d]\n",
	"if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $A =~ /^x#y/\n",
	"url: https://example.com/a:b\ntime: 1:30\nn: 0755\nyes: on\n~: x\n",
	"ä: [ö, \"ü\", €]\nb: grün # ß\n",
	"-a: -b\n",
	"a: 'b:c'\n\"d:e\": f\n",
}

func TestDeclines(t *testing.T) {
	for _, text := range []string{
		"", "# nothing\n", "scalar\n", "[a]\n", "{a: b}\n", "a: &x b\nc: *x\n", "a: !!str 1\n", "a: b: c\n", "a: b\n c: d\n", "a: 'b\n  c'\n",
		"a: \"b\\u0041\"\n", "a: \"b\\/c\"\n", "---\na: b\n", "a: b\n...\n", "%YAML 1.1\n", "a:\tb\n", "\ta: b\n", "a: b\r\n", "\ufeffa: b\n", "? a\n: b\n", "a\n",
		"a: [b\n", "a: {b}\n", "a: [b: c]\n", "<<: {a: b}\n", "a: b\n- c\n", "- a\nb: c\n", "a: - b\n", "a: |\n", "a: `b`\n", "a: @b\n", "a: |\n\tb\n",
		"a: b\n  # comment\n  c\n", "\"a\nb\": c\n", "a: 'b' c\n", "a: \x01\n", "a: \xff\n",
	} {
		if _, ok := quickyaml.Parse([]byte(text)); ok {
			t.Errorf("read: %q", text)
		}
	}
}

// TestOwnStages guards the speed of the project's own pipeline: its files are of the kind that is read here.
func TestOwnStages(t *testing.T) {
	for _, pattern := range []string{"../../../.gitlab-ci.yml", "../../../ci/*.yml", "../../../templates/*.yml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			for _, document := range documents(t, file) {
				if !check(t, document) {
					t.Errorf("%s is declined", file)
				}
			}
		}
	}
}

func documents(t testing.TB, file string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(text, []byte("\n---\n"))
}

// conformance gives the texts of all YAML files in the engine's conformance cases.
func conformance(t testing.TB) [][]byte {
	t.Helper()
	cases, err := filepath.Glob("../../testdata/conformance/*/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	var texts [][]byte
	for _, file := range cases {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			if !strings.HasSuffix(f.Name, ".json") {
				texts = append(texts, bytes.Split(f.Data, []byte("\n---\n"))...)
			}
		}
	}
	return texts
}

func TestConformanceCases(t *testing.T) {
	texts := conformance(t)
	read := 0
	for _, text := range texts {
		if check(t, text) {
			read++
		}
	}
	t.Logf("%d of %d read", read, len(texts))
	if read < len(texts)/2 {
		t.Errorf("%d of %d read", read, len(texts))
	}
}

// FuzzAgrees compares both readers.
func FuzzAgrees(f *testing.F) {
	for _, text := range readTexts {
		f.Add([]byte(text))
	}
	for _, text := range conformance(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) < 1<<14 {
			check(t, text)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	files, err := filepath.Glob("../../../ci/*.yml")
	if err != nil {
		b.Fatal(err)
	}
	var texts [][]byte
	size := 0
	for _, file := range files {
		for _, document := range documents(b, file) {
			texts = append(texts, document)
			size += len(document)
		}
	}
	b.Run("quick", func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			for _, text := range texts {
				if _, ok := quickyaml.Parse(text); !ok {
					b.Fatal("declined")
				}
			}
		}
	})
	b.Run("full", func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			for _, text := range texts {
				if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(new(yaml.Node)); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
