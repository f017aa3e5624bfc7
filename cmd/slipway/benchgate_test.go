package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBenchgate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, base, runs int) string {
		var b strings.Builder
		b.WriteString("pkg: example.com/m\n")
		for i := range runs {
			fmt.Fprintf(&b, "BenchmarkParse-2 1000 %d ns/op\n", base+i)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	old, same, slow, few := write("old", 100, 10), write("same", 101, 10), write("slow", 150, 10), write("few", 150, 2)
	for _, test := range []struct {
		now  string
		code int
		want string
	}{{same, 0, "p="}, {slow, 1, "How to accept"}, {few, 2, "-count 10"}, {"nowhere", 2, "nowhere"}} {
		t.Run(test.now, func(t *testing.T) {
			if code, output := slipway(t, "benchgate", old, test.now); code != test.code || !strings.Contains(output, test.want) {
				t.Errorf("%s: exit code %d, want %d and %q:\n%s", test.now, code, test.code, test.want, output)
			}
		})
	}
}
