package yamltree

import (
	"errors"
	"strconv"
	"strings"
	"testing"
)

func TestScalars(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		kind Kind
		want string
	}{
		{"yes", Bool, "true"}, {"Off", Bool, "false"}, {"y", String, "y"}, {"n", String, "n"}, {"~", Null, ""}, {"NULL", Null, ""},
		{"", Null, ""}, {"0755", Int, "493"}, {"08", String, "08"}, {"0x1F", Int, "31"}, {"0b101", Int, "5"}, {"0o17", String, "0o17"},
		{"1_000", Int, "1000"}, {"1,000", Int, "1000"}, {"1__0", String, "1__0"}, {"1_", String, "1_"}, {"+7", Int, "7"}, {"-0", Int, "0"}, {"12:30", Int, "45000"}, {"12:60", String, "12:60"},
		{"1.50", Float, "1.5"}, {"1.", Float, "1.0"}, {".5", Float, "0.5"}, {".", String, "."}, {"1e3", String, "1e3"}, {"1.5e3", String, "1.5e3"},
		{"1.5e+3", Float, "1500.0"}, {"1.0e+20", Float, "1.0e+20"}, {"1.2.3", String, "1.2.3"}, {"v1.2", String, "v1.2"}, {"-", String, "-"},
		{"1:30.5", Float, "5430.0"}, {"20:30.15", Float, "73809.0"}, {"-1:30.5", Float, "-1770.0"}, {"1:2:3.5", Float, "3723.5"}, {"1:60.5", String, "1:60.5"},
		{"1.0e+15", Float, "1.0e+15"}, {"999999999999999.0", Float, "999999999999999.0"},
		{".inf", Float, "Infinity"}, {"-.INF", Float, "-Infinity"}, {".NaN", Float, "NaN"}, {":symbol", String, "symbol"}, {":", String, ":"},
		{"99999999999999999999", Int, "99999999999999999999"}, {"2026-13-01", String, "2026-13-01"}, {"2026-1-1x", String, "2026-1-1x"},
	}
	for _, c := range tests {
		t.Run(c.text, func(t *testing.T) {
			kind, text, err := resolve(c.text)
			if err != nil || kind != c.kind || text != c.want {
				t.Errorf("%q: %s %q, %v; want %s %q", c.text, kind, text, err, c.kind, c.want)
			}
		})
	}
	for _, date := range []string{"2026-02-30", "2026-00-01", "2026-01-31", "2026-1-3", "2026-01-31 10:00:00", "2026-01-31T10:00:00.5+02:00", "2026-01-31T10:00:00Z"} {
		t.Run(date, func(t *testing.T) {
			if _, _, err := resolve(date); err == nil {
				t.Errorf("%q is no date", date)
			}
		})
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`!!int "2"`: "2", `!!int x`: `"x"`, `!!bool "yes"`: "true", `!!null "~"`: "nil", `!!float 2`: "2.0", `!float "1:30"`: "5400.0", `!!str 1.10`: `"1.10"`, "!!str ": `""`,
		`!!binary aGVsbG8=`: `"hello"`, `!!binary "aGVs bG8"`: `"hello"`, `!!binary x`: `""`, `!foo "0x1F"`: "31", `! "1.5"`: "1.5", `!ruby/symbol a`: `"a"`,
		`!!omap [a: 1, [b, 2]]`: "{:a=>1, :b=>2}", `!ruby/object:Foo x`: `"x"`, `!ruby/regexp [a]`: `["a"]`, `!ruby/object:Hash {a: 1}`: "{:a=>1}",
		`!!seq [1]`: "[1]", `!foo {a: 1}`: "{:a=>1}", `!str 2026-01-01`: `"2026-01-01"`, `!!int ":a"`: `"a"`,
	} {
		t.Run(text, func(t *testing.T) {
			documents, err := Parse("f.yml", []byte("k: "+text))
			if err != nil {
				t.Errorf("%s: %v", text, err)
			} else if got := documents[0].Get("k").RubyText(); documents[0].Get("k").Kind == String && strconv.Quote(got) != want || documents[0].Get("k").Kind != String && !documents[0].Get("k").IsNull() && got != want {
				t.Errorf("%s: got %s, want %s", text, got, want)
			}
		})
	}
	for _, text := range []string{"!!set {a, b}", "!omap {a: 1}", "!!str {a: 1}", "!!float x", "!!float ~", "!float yes", "!ruby/object:Object {}", "!ruby/regexp /a/", "!str:Foo a", "!seq:Foo [a]", "!ruby/array:Foo {a: 1}", "!ruby/range {a: 1}",
		"!ruby/object:BigDecimal 1", "!ruby/string:Foo x", "!ruby/object {a: 1}", "[!x]", "{a: !!str}", "0x_", `!foo "2026-01-01"`} {
		if _, err := Parse("f.yml", []byte("k: "+text)); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text string
		want string // of the documents, with | between
	}{
		"order and duplicates":          {"b: 1\na: 2\nb: 3", "{:b=>3, :a=>2}"},
		"a merge overwrites":            {".x: &x {a: 1, b: 2}\ny: {a: 0, <<: *x, b: 3}", "{:\".x\"=>{:a=>1, :b=>2}, :y=>{:a=>1, :b=>3}}"},
		"the first of a list wins":      {"y: {<<: [{a: 1}, {a: 2, b: 2}]}", "{:y=>{:a=>1, :b=>2}}"},
		"a merge of a list by alias":    {".x: &x [{a: 1}]\ny: {<<: *x}", "{:\".x\"=>[{:a=>1}], :y=>{:<<=>[{:a=>1}]}}"},
		"a header":                      {"spec:\n---\na: 1", "{:spec=>nil}|{:a=>1}"},
		"a leading divider":             {"---\na: 1", "{:a=>1}"},
		"blank documents are left out":  {"# nothing\n---\na: 1\n---\n", "{:a=>1}"},
		"an anchor is redefined":        {"a: &x 1\nb: &x 2\nc: *x", "{:a=>1, :b=>2, :c=>2}"},
		"quoted words stay text":        {"a: 'yes'\nb: \"1\"\nc: !!str 1", `{:a=>"yes", :b=>"1", :c=>"1"}`},
		"a question mark in a list":     {"a: [x?y, z?, $?, 'q?']", `{:a=>["x?y", "z?", "$?", "q?"]}`},
		"a question mark in a hash":     {"a: {b?: c?d} # e?\n? f\n: g?", `{:a=>{:b?=>"c?d"}, :f=>"g?"}`},
		"an escape of private use":      {`a: &x "b?\uE000\U0000e001"`, "{:a=>\"b?\ue000\ue001\"}"},
		"a slash behind a backslash":    {`{a: &x "b\/c\\/d", e: 'f\/g', h: i\/j?}`, `{:a=>"b/c\\/d", :e=>"f\\/g", :h=>"i\\/j?"}`},
		"an empty value in a flow pair": {"a: [b: , c]\nd: [e: ]", `{:a=>[{:b=>nil}, "c"], :d=>[{:e=>nil}]}`},
		"tabs that indent nothing":      {"a:\t1\nb: \t[\t2,\n\t3]\nc:\n  - d:\t4", "{:a=>1, :b=>[2, 3], :c=>[{:d=>4}]}"},
		"nothing":                       {"", ""},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			documents, err := Parse("f.yml", []byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			var texts []string
			for _, d := range documents {
				texts = append(texts, d.RubyText())
			}
			if got := strings.Join(texts, "|"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	documents, err := Parse("f.yml", []byte("spec:\n  inputs:\n---\n\njob:\n  script:\n    - x\n"))
	if err != nil {
		t.Fatal(err)
	}
	item := documents[1].Get("job").Get("script").Items[0]
	if want := (Position{"f.yml", 7, 7}); item.Position != want {
		t.Errorf("%v, want %v", item.Position, want)
	}
	for text, line := range map[string]int{"a: [1, 2\n": 1, "a: 1\n---\nb: 1\nc: [\n": 4, "a: *b": 1, "a:\n  b: 2026-01-01": 2, "text": 1,
		"a:\n  b: {c:}": 2, "a: [b:, c]": 1, "a: [b? : ?c]": 1} {
		t.Run(text, func(t *testing.T) {
			_, err := Parse("f.yml", []byte(text))
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Position.Line < line || syntax.Position.Line > line+1 {
				t.Errorf("%q: %v, want line %d", text, err, line)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	documents, err := Parse("f.yml", []byte("base: {a: {x: 1, y: [1]}, b: 1}\nover: {c: 3, a: {y: [2], z: 3}}"))
	if err != nil {
		t.Fatal(err)
	}
	base, over := documents[0].Get("base"), documents[0].Get("over")
	got := Merge(base, over).RubyText()
	if want := "{:a=>{:x=>1, :y=>[2], :z=>3}, :b=>1, :c=>3}"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := base.RubyText(), "{:a=>{:x=>1, :y=>[1]}, :b=>1}"; got != want {
		t.Errorf("the base has changed: %s", got)
	}
}

// TestInspect has values as they are put into a longer text, with what Ruby's inspect makes of them.
func TestInspect(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\n- a\n- 1\n- 1.50\n- true\n- ~\n- ':b'\n- :c":                    `["a", 1, 1.5, true, nil, ":b", :c]`,
		`["a#{b} #$c #@d #e", '#{f}']`:                                     `["a\#{b} \#$c \#@d #e", "\#{f}"]`,
		`["\e\a\b\v\f\0\x01\x7F\t\n\"\\"]`:                                 `["\e\a\b\v\f\u0000\u0001\u007F\t\n\"\\"]`,
		`["\u00e9\u200b\u00a0\U0001F600\u2028\u0378"]`:                     "[\"\u00e9\u200b\u00a0\U0001F600\\u2028\\u0378\"]",
		`[{a-b: 1, "c d": 2, e?: 3, F: 4, "1": 5}]`:                        `[{:"a-b"=>1, :"c d"=>2, :e?=>3, :F=>4, :"1"=>5}]`,
		`[{1: a, true: b, ~: c, 1.5: d}]`:                                  `[{1=>"a", true=>"b", nil=>"c", 1.5=>"d"}]`,
		`[{"@a": 1, "@@b": 2, "$c": 3, "+": 4, "[]": 5, "a=b": 6, "": 7}]`: `[{:@a=>1, :@@b=>2, :$c=>3, :+=>4, :[]=>5, :"a=b"=>6, :""=>7}]`,
	} {
		t.Run(text, func(t *testing.T) {
			t.Run(text, func(t *testing.T) {
				documents, err := Parse("f.yml", []byte("k: "+text))
				if err != nil {
					t.Fatal(err)
				}
				if got := documents[0].Get("k").RubyText(); got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		})
	}
}

// TestTabs has the places where a tab indents, which libyaml refuses.
func TestTabs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"a:\n  -\tb", "a:\n  - \tb", "a:\n  -\t b: c", "a:\n  \tb", "a:\n  - -\tb", "? \ta\n: b", "a:\n  -\t[b]"} {
		t.Run(text, func(t *testing.T) {
			if _, err := Parse("f.yml", []byte(text)); err == nil {
				t.Errorf("%q is accepted", text)
			}
		})
	}
}
