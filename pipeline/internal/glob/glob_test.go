package glob

import (
	"strings"
	"testing"
	"time"
)

func TestMatch(t *testing.T) {
	t.Parallel()
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{"*.go", "a.go", true}, {"*.go", "x/a.go", false}, {"**/*.go", "a.go", true}, {"**/*.go", "x/y/a.go", true}, {"*", ".hidden", true},
		{"docs/**", "docs/a", true}, {"docs/**", "docs/a/b", false}, {"docs/**/*", "docs/a/b", true}, {"docs/**/*", "docs/a", true},
		{"docs/**/x", "docs/x", true}, {"**/x/**/y", "a/x/b/c/y", true}, {"**/x/**/y", "a/y/x", false}, {"**.go", "a.go", true}, {"**.go", "x/a.go", false},
		{"a/*/c", "a/b/c", true}, {"a/*/c", "a//c", true}, {"*.{ts,tsx}", "a.tsx", true}, {"{a,b/{c,d}}.x", "b/d.x", true}, {"{a", "{a", true}, {"a}", "a}", true},
		{"[a-c].x", "b.x", true}, {"[!a-c].x", "d.x", true}, {"[^a-c].x", "b.x", false}, {"[a", "a", false}, {`\*.x`, "*.x", true}, {`\*.x`, "a.x", false},
		{"?.go", "a.go", true}, {"?.go", "ü.go", true}, {"a?c", "a/c", false}, {"", "", true}, {"", "a", false}, {"a", "a/b", false}, {"*/x.yml", ".github/x.yml", true},
		{"Dockerfile", "Dockerfile", true}, {"./a", "a", false}, {"a/", "a", false}, {"[]-a]", "x", false},
	}
	for _, c := range tests {
		t.Run(c.pattern, func(t *testing.T) {
			if got := Compile(c.pattern).Match(c.path); got != c.want {
				t.Errorf("%q matches %q: %t", c.pattern, c.path, got)
			}
		})
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	start := time.Now()
	for _, pattern := range []string{strings.Repeat("*a", 2000), strings.Repeat("**/", 2000) + "x", strings.Repeat("{a,b}", 5000), strings.Repeat("{", 100_000), strings.Repeat("[", 10_000)} {
		Compile(pattern).Match(strings.Repeat("a", 5000) + strings.Repeat("/a", 5000))
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("**/{a,[b-d]}*", "x/c.go")
	f.Add(`\`, "")
	f.Add("[a-", "a")
	f.Fuzz(func(_ *testing.T, pattern, path string) { Compile(pattern).Match(path) })
}
