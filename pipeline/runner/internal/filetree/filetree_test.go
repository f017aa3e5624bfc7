package filetree

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func sample(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "from")
	entry := strings.Repeat("ab", 32) + "-d"
	for name, mode := range map[string]os.FileMode{"mod/locked": 0o444, "run.sh": 0o755, "plain": 0o644, "ab/" + entry: 0o644} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(name), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("plain", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1_000_000_000, 0)
	if err := os.Chtimes(filepath.Join(dir, "plain"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "mod"), 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Remove(dir) })
	return dir
}

func TestCopyKeepsWhatFilesAre(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		copy   func(from, to string) error
		shared map[string]bool
	}{
		{"copy", Copy, map[string]bool{}},
		{"cache", CopyCache, map[string]bool{"mod/locked": true, "ab/" + strings.Repeat("ab", 32) + "-d": true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			from, to := sample(t), filepath.Join(t.TempDir(), "deep", "to")
			t.Cleanup(func() { _ = Remove(to) })
			if err := tt.copy(from, to); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"mod", "mod/locked", "run.sh", "plain", "ab/" + strings.Repeat("ab", 32) + "-d"} {
				was, err := os.Stat(filepath.Join(from, name))
				if err != nil {
					t.Fatal(err)
				}
				is, err := os.Stat(filepath.Join(to, name))
				if err != nil {
					t.Fatal(err)
				}
				if was.Mode() != is.Mode() || !was.ModTime().Equal(is.ModTime()) {
					t.Errorf("%s: %v %v, was %v %v", name, is.Mode(), is.ModTime(), was.Mode(), was.ModTime())
				}
				if os.SameFile(was, is) != tt.shared[name] {
					t.Errorf("%s: shared is %v", name, os.SameFile(was, is))
				}
			}
			if link, _ := os.Readlink(filepath.Join(to, "link")); link != "plain" {
				t.Errorf("link to %q", link)
			}
			// A second copy over the first replaces it.
			if err := os.Chmod(filepath.Join(to, "mod"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := tt.copy(from, to); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
}

func TestRemoveReadOnlyFolders(t *testing.T) {
	t.Parallel()
	dir := sample(t)
	if err := Remove(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("still there: %v", err)
	}
}

func TestMove(t *testing.T) {
	t.Parallel()
	from, to := sample(t), filepath.Join(t.TempDir(), "deep", "to")
	if err := Move(from, to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Remove(to) })
	if _, err := os.Stat(filepath.Join(to, "run.sh")); err != nil {
		t.Error(err)
	}
}

// A program can be executed as soon as it is copied, while other processes are started.
func TestCopyOfProgramWhileOthersStart(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, "true").Run()
			}
		})
	}
	defer others.Wait()
	defer stop()
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	if err := os.WriteFile(from, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		program := filepath.Join(dir, strconv.Itoa(i))
		if err := Copy(from, program); err != nil {
			t.Fatal(err)
		}
		if err := exec.CommandContext(t.Context(), program).Run(); err != nil {
			t.Fatal(err)
		}
	}
}
