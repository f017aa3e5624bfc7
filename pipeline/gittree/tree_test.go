package gittree_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"testing/fstest"

	"gitlab.com/slipway-ci/slipway/pipeline/gittree"
)

func TestTreeIsAFileSystem(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, map[string]string{
		".gitlab-ci.yml":    "build: {script: [make]}\n",
		"ci/lint.yml":       "lint: {script: [lint]}\n",
		"ci/deep/er/x.yml":  "",
		"with space/ä b.md": "text",
	})
	tree := open(t, repo, "HEAD")
	if err := fstest.TestFS(tree, ".gitlab-ci.yml", "ci/lint.yml", "ci/deep/er/x.yml", "with space/ä b.md"); err != nil {
		t.Fatal(err)
	}
}

func TestTreeReadsTheCommitAndNotTheWorkTree(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, map[string]string{"a.txt": "one"})
	write(t, repo, "a.txt", "two")
	write(t, repo, "untracked.txt", "three")
	tree := open(t, repo, "HEAD")
	data, err := fs.ReadFile(tree, "a.txt")
	if err != nil || string(data) != "one" {
		t.Errorf("a.txt = %q, %v; want the committed text", data, err)
	}
	if _, err := fs.Stat(tree, "untracked.txt"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("untracked.txt: %v; want fs.ErrNotExist", err)
	}
}

func TestOpenFromAFolderBelowTheTop(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, map[string]string{"sub/a.txt": "one"})
	tree := open(t, filepath.Join(repo, "sub"), "HEAD")
	if _, err := fs.Stat(tree, "sub/a.txt"); err != nil {
		t.Errorf("paths are not those of the repository's top: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	repo := newRepository(t, map[string]string{"a.txt": "one"})
	tests := []struct {
		name, dir, ref string
		notExist       bool
	}{
		{"an unknown ref", repo, "nowhere", true},
		{"a ref that looks like a flag", repo, "--help", true},
		{"a file's hash", repo, "HEAD:a.txt", true},
		{"a folder that is no repository", t.TempDir(), "HEAD", false},
		{"a folder that is not there", filepath.Join(repo, "gone"), "HEAD", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tree, err := gittree.Open(t.Context(), tt.dir, tt.ref)
			if err == nil {
				tree.Close()
				t.Fatal("opened")
			}
			if got := errors.Is(err, fs.ErrNotExist); got != tt.notExist {
				t.Errorf("%v: is fs.ErrNotExist = %v, want %v", err, got, tt.notExist)
			}
		})
	}
}

func open(t *testing.T, dir, ref string) *gittree.Tree {
	t.Helper()
	tree, err := gittree.Open(t.Context(), dir, ref)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tree.Close(); err != nil {
			t.Error(err)
		}
	})
	return tree
}

// newRepository makes a git repository with one commit.
func newRepository(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=main"},
		{"add", "."},
		{"-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "--quiet", "-m", "first"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return dir
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
