package mtime

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func put(t *testing.T, root, name, content string) {
	t.Helper()
	file := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

func origin(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "go.mod", "module example.com/m\n\ngo 1.26\n")
	put(t, dir, "m_test.go", `package m

import (
	"os"
	"testing"
)

func TestRead(t *testing.T) {
	if _, err := os.ReadFile("testdata/golden.txt"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.ReadDir("testdata/cases"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(".git"); err != nil {
		t.Fatal(err)
	}
}
`)
	put(t, dir, "testdata/golden.txt", "golden\n")
	put(t, dir, "testdata/cases/a/in.txt", "a\n")
	put(t, dir, "testdata/cases/b.txt", "b\n")
	if err := os.Symlink("golden.txt", filepath.Join(dir, "testdata", "link.txt")); err != nil {
		t.Fatal(err)
	}
	commit(t, dir)
	return dir
}

func commit(t *testing.T, dir string) {
	t.Helper()
	command(t, dir, "git", "init", "--quiet")
	command(t, dir, "git", "add", "--all")
	command(t, dir, "git", "-c", "user.name=Dev", "-c", "user.email=dev@example.com", "-c", "commit.gpgsign=false", "commit", "--quiet", "--message=x")
}

// TestGoTestCache is two CI jobs: the same directory, cloned again each time.
func TestGoTestCache(t *testing.T) {
	t.Parallel()
	from, clone := origin(t), filepath.Join(t.TempDir(), "builds", "m")
	job := func(stamped bool) (cached bool) {
		t.Helper()
		if err := os.RemoveAll(clone); err != nil {
			t.Fatal(err)
		}
		command(t, ".", "git", "clone", "--quiet", from, clone)
		if stamped {
			if _, err := Checkout(t.Context(), clone); err != nil {
				t.Fatal(err)
			}
			if status := command(t, clone, "git", "--no-optional-locks", "status", "--porcelain"); status != "" {
				t.Errorf("git sees changes: %s", status)
			}
		}
		return strings.Contains(command(t, clone, "go", "test", "./..."), "(cached)")
	}
	if job(true) {
		t.Error("the first run is cached")
	}
	if job(false) {
		t.Error("a fresh clone is cached without setting modification times; this test proves nothing")
	}
	if !job(true) {
		t.Error("the second run is not cached")
	}
	put(t, from, "testdata/golden.txt", "silver\n")
	commit(t, from)
	if job(true) {
		t.Error("a changed file of the same size is cached")
	}
	put(t, from, "testdata/cases/a/more.txt", "x\n")
	put(t, from, "testdata/cases/c.txt", "x\n")
	commit(t, from)
	if job(true) {
		t.Error("a changed directory is cached")
	}
}

func TestCheckout(t *testing.T) {
	t.Parallel()
	dir := origin(t)
	put(t, dir, "testdata/golden.txt", "edited\n")
	put(t, dir, "untracked.txt", "x\n")
	r, err := Checkout(t.Context(), filepath.Join(dir, "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (Result{Files: 4, Dirs: 4, Modified: 1}); r != want {
		t.Errorf("%+v, want %+v", r, want)
	}
	old := func(name string) bool {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime().Before(time.Unix(earliest+span, 0))
	}
	for name, want := range map[string]bool{"go.mod": true, "testdata/cases": true, ".": true, "testdata/golden.txt": false, "untracked.txt": false} {
		t.Run(name, func(t *testing.T) {
			if old(name) != want {
				t.Errorf("%s is old: %v", name, !want)
			}
		})
	}
	if _, err := Checkout(t.Context(), t.TempDir()); err == nil {
		t.Error("a directory without a repository is no error")
	}
}
