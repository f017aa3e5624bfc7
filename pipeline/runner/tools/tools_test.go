package tools

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// module makes a module with tools of its own, so that no test needs a network.
func module(t *testing.T, main string, version ...string) string {
	t.Helper()
	version = append(version, "go 1.24")
	dir := t.TempDir()
	for name, content := range map[string]string{
		"go.mod":        "module example.com/tools\n\n" + version[0] + "\n\ntool (\n\texample.com/tools/hello\n\texample.com/tools/other/v2\n)\n",
		"hello/main.go": main, "other/v2/main.go": "package main\n\nfunc main() {}\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const hello = "package main\n\nfunc main() { println(\"hello\") }\n"

func TestBuild(t *testing.T) {
	t.Parallel()
	dir, cache := module(t, hello), t.TempDir()
	var said []string
	options := Options{CacheDir: cache, Env: append(os.Environ(), "GOFLAGS=-mod=vendor"), Progress: func(s string) { said = append(said, s) }}
	first, err := Build(context.Background(), dir, options)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(first, "hello")).CombinedOutput()
	if err != nil || string(out) != "hello\n" {
		t.Errorf("the tool says %q, %v", out, err)
	}
	if _, err := os.Stat(filepath.Join(first, "other")); err != nil {
		t.Error(err)
	}
	if len(said) < 3 || said[0] != "tools: building hello, other (once for these versions)" || !strings.HasPrefix(said[1], "tools: ") {
		t.Errorf("progress: %q", said)
	}

	// The second time nothing is built, nor said.
	said = nil
	begun := time.Now()
	second, err := Build(context.Background(), dir, options)
	if err != nil || second != first || len(said) > 0 {
		t.Errorf("again: %s, %v, %q; want %s", second, err, said, first)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("again took %s", took)
	}

	// Other versions are another set.
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), []byte("\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	third, err := Build(context.Background(), dir, options)
	if err != nil || third == first {
		t.Errorf("another go.sum: %s, %v", third, err)
	}
	left, _ := filepath.Glob(filepath.Join(cache, "tools", "building-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestBuildAtOnce(t *testing.T) {
	t.Parallel()
	dir, cache := module(t, hello), t.TempDir()
	var mu sync.Mutex
	built := 0
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			_, err := Build(context.Background(), dir, Options{CacheDir: cache, Env: os.Environ(), Progress: func(s string) {
				mu.Lock()
				defer mu.Unlock()
				if strings.Contains(s, "once for these versions") {
					built++
				}
			}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if built != 1 {
		t.Errorf("built %d times", built)
	}
}

func TestBuildFails(t *testing.T) {
	t.Parallel()
	empty := t.TempDir()
	if err := os.WriteFile(filepath.Join(empty, "go.mod"), []byte("module example.com/none\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, dir, err string }{
		{"code that does not compile", module(t, "package main\n\nfunc main() { undefined() }\n"), "undefined: undefined"},
		{"a Go that is not there", module(t, hello, "go 1.999"), "and GOTOOLCHAIN=local keeps it from fetching a newer one: install Go 1.999, or export GOTOOLCHAIN=auto"},
		{"no tools", empty, "has no tool directive: add one with `go get -tool"},
		{"no module", t.TempDir(), "go.mod"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cache := t.TempDir()
			_, err := Build(context.Background(), tt.dir, Options{CacheDir: cache, Env: append(os.Environ(), "GOTOOLCHAIN=local")})
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
			if left, _ := filepath.Glob(filepath.Join(cache, "tools", "*[^k]")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestBuildCanceled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Build(ctx, module(t, hello), Options{CacheDir: t.TempDir(), Env: os.Environ(), Progress: func(string) { cancel() }})
	if err == nil || ctx.Err() == nil {
		t.Errorf("got %v", err)
	}
}

func TestPrograms(t *testing.T) {
	t.Parallel()
	got := programs([]string{"example.com/a/cmd/tool", "example.com/tool/v2", "example.com/x"})
	if diff := cmp.Diff([]string{"tool", "tool", "x"}, got); diff != "" {
		t.Error(diff)
	}
}
