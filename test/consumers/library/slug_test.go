package library

import (
	"strings"
	"testing"
)

func TestSlug(t *testing.T) {
	for title, want := range map[string]string{"": "", "Hello, World!": "hello-world", "  2nd try ": "2nd-try"} {
		if got := Slug(title); got != want {
			t.Errorf("Slug(%q) = %q, want %q", title, got, want)
		}
	}
}

func FuzzSlug(f *testing.F) {
	f.Add("Hello, World!")
	f.Fuzz(func(t *testing.T, title string) {
		s := Slug(title)
		if Slug(s) != s || strings.Contains(s, "--") {
			t.Errorf("Slug(%q) = %q", title, s)
		}
	})
}

func BenchmarkSlug(b *testing.B) {
	for b.Loop() {
		Slug("The quick brown fox jumps over the lazy dog")
	}
}
