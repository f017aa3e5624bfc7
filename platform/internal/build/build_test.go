package build

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// sources are a folder platform/ that has what the sum covers.
func sources(t *testing.T) Source {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kubernetes/go.mod": "module x", "kubernetes/go.sum": "", "kubernetes/main.go": "package main",
		"cmd/pause/main.go": "package main", "README.md": "",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Source{dir}
}

func TestSumCoversWhatIsCompiled(t *testing.T) {
	t.Parallel()
	for file, changes := range map[string]bool{
		"kubernetes/go.mod": true, "kubernetes/go.sum": true, "kubernetes/main.go": true, "kubernetes/new.go": true,
		"cmd/pause/main.go": true, "README.md": false,
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			s := sources(t)
			before, err := s.sum(kubernetesInputs)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(s.Dir, file), []byte("changed"), 0o600); err != nil {
				t.Fatal(err)
			}
			after, err := s.sum(kubernetesInputs)
			if err != nil || (before != after) != changes {
				t.Errorf("%s -> %s %v, want changed %t", before, after, err, changes)
			}
		})
	}
}

func TestBinariesAreNotCompiledTwice(t *testing.T) {
	t.Parallel()
	s, cache := sources(t), t.TempDir()
	sum, err := s.sum(kubernetesInputs)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, sum)
	if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "complete"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	got, compiled, err := s.Binaries(t.Context(), cache, io.Discard)
	if err != nil || compiled || got != dir {
		t.Errorf("%s %t %v", got, compiled, err)
	}
}

func TestBinariesLeaveNothingHalfMade(t *testing.T) {
	t.Parallel()
	s, cache := sources(t), t.TempDir() // sources that do not compile
	if _, _, err := s.Binaries(t.Context(), cache, io.Discard); err == nil {
		t.Fatal("no error")
	}
	complete, err := filepath.Glob(filepath.Join(cache, "*", "complete"))
	if err != nil || len(complete) > 0 {
		t.Errorf("%v %v", complete, err)
	}
}

func TestLockWaits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unlock, err := lock(t.Context(), dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var said bytes.Buffer
	if _, err := lock(ctx, dir, &said); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(said.String(), "waiting") {
		t.Errorf("%v, said %q", err, said.String())
	}
	unlock()
	again, err := lock(t.Context(), dir, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func TestProgressCountsPackagesAndKeepsErrors(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	p := &progress{total: 4, log: &log}
	for _, chunk := range []string{"go: downloading a v1\nk8s.io/", "api/core/v1\nfmt\n", "# k8s.io/api\n./x.go:1:2: undefined: y\n"} {
		if _, err := p.Write([]byte(chunk)); err != nil {
			t.Fatal(err)
		}
	}
	if p.done != 2 || !strings.Contains(log.String(), "of at most 4") {
		t.Errorf("done %d, log %q", p.done, log.String())
	}
	if diff := cmp.Diff("# k8s.io/api\n./x.go:1:2: undefined: y", p.errors()); diff != "" {
		t.Error(diff)
	}
}

func TestVersionFlags(t *testing.T) {
	t.Parallel()
	flags := versionFlags("v1.35.8")
	for _, want := range []string{"-X k8s.io/component-base/version.gitVersion=v1.35.8", "-X k8s.io/client-go/pkg/version.gitMinor=35"} {
		if !strings.Contains(flags, want) {
			t.Errorf("%s is not in %s", want, flags)
		}
	}
}
