package snapshot

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// repository makes a work tree with a commit, a changed file, a deleted one, a staged one, an untracked and an ignored one.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	gitIn(t, dir, "init", "--quiet", "--initial-branch=main")
	write(t, dir, "kept", "committed")
	write(t, dir, "edited", "committed")
	write(t, dir, "deleted", "committed")
	write(t, dir, "sub/script.sh", "#!/bin/sh\n")
	if err := os.Chmod(filepath.Join(dir, "sub/script.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, ".gitignore", "ignored\n")
	gitIn(t, dir, "add", ".")
	gitIn(t, dir, "commit", "--quiet", "-m", "first")
	gitIn(t, dir, "tag", "v1.0.0")
	gitIn(t, dir, "update-ref", "refs/remotes/origin/elsewhere", "HEAD")
	write(t, dir, "edited", "edited")
	write(t, dir, "staged", "staged")
	gitIn(t, dir, "add", "staged")
	write(t, dir, "new/untracked", "untracked")
	write(t, dir, "ignored", "secret")
	if err := os.Remove(filepath.Join(dir, "deleted")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCheckout(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		options Options
		want    map[string]string
		changed bool
	}{
		{"work tree", Options{}, map[string]string{
			".gitignore": "ignored\n", "kept": "committed", "edited": "edited", "staged": "staged", "new/untracked": "untracked", "sub/script.sh": "#!/bin/sh\n",
		}, true},
		{"commit", Options{CommittedOnly: true}, map[string]string{
			".gitignore": "ignored\n", "kept": "committed", "edited": "committed", "deleted": "committed", "sub/script.sh": "#!/bin/sh\n",
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			project := repository(t)
			before := gitIn(t, project, "status", "--porcelain=v2")
			objects := gitIn(t, project, "count-objects")
			dir := t.TempDir()
			tt.options.Env = os.Environ()
			s, err := Take(context.Background(), project, filepath.Join(dir, "sources.git"), tt.options)
			if err != nil {
				t.Fatal(err)
			}
			if s.Changed != tt.changed || s.Commit != gitIn(t, project, "rev-parse", "HEAD") {
				t.Errorf("got %+v", s)
			}
			// The work tree goes on changing; the snapshot does not.
			write(t, project, "kept", "later")
			checkout := filepath.Join(dir, "checkout")
			if err := s.Checkout(context.Background(), checkout, CheckoutOptions{Branch: "main", Depth: 20, Env: os.Environ()}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, files(t, checkout)); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if got := gitIn(t, checkout, "rev-parse", "HEAD"); got != s.Commit {
				t.Errorf("HEAD is %s, want %s", got, s.Commit)
			}
			if got := gitIn(t, checkout, "diff", "--stat"); got != "" {
				t.Errorf("a fresh checkout has changes against its index:\n%s", got)
			}
			gitIn(t, checkout, "fetch", "--quiet", "origin", "elsewhere")
			gitIn(t, checkout, "rev-parse", "--verify", "v1.0.0")
			if info, err := os.Stat(filepath.Join(checkout, "sub/script.sh")); err != nil || info.Mode()&0o100 == 0 {
				t.Errorf("the script is not executable: %v", err)
			}
			write(t, checkout, "made", "by a job")
			write(t, checkout, "ignored", "by a job")
			untracked, err := Untracked(context.Background(), checkout, os.Environ())
			sort.Strings(untracked)
			if diff := cmp.Diff([]string{"ignored", "made"}, untracked); diff != "" || err != nil {
				t.Errorf("untracked (-want +got):\n%s%v", diff, err)
			}

			write(t, project, "kept", "committed")
			if after := gitIn(t, project, "status", "--porcelain=v2"); after != before {
				t.Errorf("the project's index changed:\n%s\nwas\n%s", after, before)
			}
			if after := gitIn(t, project, "count-objects"); after != objects {
				t.Errorf("the project has %s, had %s", after, objects)
			}
		})
	}
}

// TestEditWithinASecond changes a file, but neither its size nor its time, right after git has written the index.
func TestEditWithinASecond(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, then := filepath.Join(dir, "file"), time.Now().Add(-time.Hour).Truncate(time.Second)
	at := func(path string) {
		if err := os.Chtimes(path, then, then); err != nil {
			t.Fatal(err)
		}
	}
	gitIn(t, dir, "init", "--quiet", "--initial-branch=main")
	gitIn(t, dir, "config", "core.trustCtime", "false")
	write(t, dir, "file", "one")
	at(file)
	gitIn(t, dir, "add", ".")
	gitIn(t, dir, "commit", "--quiet", "-m", "first")
	at(filepath.Join(dir, ".git", "index"))
	write(t, dir, "file", "two")
	at(file)
	s, err := Take(t.Context(), dir, filepath.Join(t.TempDir(), "sources.git"), Options{Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := s.Checkout(t.Context(), out, CheckoutOptions{Branch: "main", Env: os.Environ()}); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(out, "file"))
	if err != nil || string(content) != "two" {
		t.Errorf("the job has %q, %v", content, err)
	}
}

func TestLinkedWorktree(t *testing.T) {
	t.Parallel()
	project := repository(t)
	linked := filepath.Join(t.TempDir(), "linked")
	gitIn(t, project, "worktree", "add", "--quiet", "-b", "side", linked)
	write(t, linked, "kept", "linked")
	s, err := Take(context.Background(), linked, filepath.Join(t.TempDir(), "sources.git"), Options{Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	checkout := filepath.Join(t.TempDir(), "checkout")
	if err := s.Checkout(context.Background(), checkout, CheckoutOptions{Branch: "main", Depth: 20, Env: os.Environ()}); err != nil {
		t.Fatal(err)
	}
	if got := files(t, checkout)["kept"]; got != "linked" {
		t.Errorf("got %q", got)
	}
}

// A job's push is refused by git itself, before it starts any program: with the same exit code each time.
func TestPushIsRefused(t *testing.T) {
	t.Parallel()
	s, err := Take(t.Context(), repository(t), filepath.Join(t.TempDir(), "sources.git"), Options{Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	checkout := filepath.Join(t.TempDir(), "checkout")
	if err := s.Checkout(t.Context(), checkout, CheckoutOptions{Branch: "main", Depth: 20, Env: os.Environ()}); err != nil {
		t.Fatal(err)
	}
	push := exec.CommandContext(t.Context(), "git", "-C", checkout, "push", "origin", "HEAD:refs/heads/new")
	out, err := push.CombinedOutput()
	if push.ProcessState.ExitCode() != 128 || !strings.Contains(string(out), "push-is-refused-as-with-a-job-token' not allowed") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Jobs get all files and their history, also those that a partial clone or a sparse checkout does not have.
func TestPartialClone(t *testing.T) {
	t.Parallel()
	server := t.TempDir()
	gitIn(t, server, "init", "--quiet", "--initial-branch=main")
	gitIn(t, server, "config", "uploadpack.allowFilter", "true")
	gitIn(t, server, "config", "uploadpack.allowAnySHA1InWant", "true")
	for _, text := range []string{"one", "two", "three"} {
		write(t, server, "app/file", text)
		write(t, server, "docs/page", text)
		gitIn(t, server, "add", ".")
		gitIn(t, server, "commit", "--quiet", "-m", text)
	}
	for name, flags := range map[string][]string{
		"complete": nil, "no files": {"--filter=blob:none"}, "no folders": {"--filter=tree:0"}, "shallow": {"--filter=blob:none", "--depth=2"},
		"sparse": {"--filter=blob:none", "--sparse"}, "complete and sparse": {"--sparse"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			project := filepath.Join(t.TempDir(), "project")
			gitIn(t, server, slices.Concat([]string{"clone", "--quiet"}, flags, []string{"file://" + server, project})...)
			if slices.Contains(flags, "--sparse") {
				gitIn(t, project, "sparse-checkout", "set", "docs")
			}
			write(t, project, "docs/page", "edited")
			write(t, project, "other/new", "new")
			before := gitIn(t, project, "status", "--porcelain=v2")
			dir := t.TempDir()
			s, err := Take(t.Context(), project, filepath.Join(dir, "sources.git"), Options{Env: os.Environ()})
			if err != nil {
				t.Fatal(err)
			}
			for depth := range 3 {
				checkout := filepath.Join(dir, strconv.Itoa(depth))
				if err := s.Checkout(t.Context(), checkout, CheckoutOptions{Branch: "main", Depth: depth, Env: os.Environ()}); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(map[string]string{"app/file": "three", "docs/page": "edited", "other/new": "new"}, files(t, checkout)); diff != "" {
					t.Error(diff)
				}
				gitIn(t, checkout, "fsck", "--connectivity-only")
				gitIn(t, checkout, "log", "--patch")
			}
			if after := gitIn(t, project, "status", "--porcelain=v2"); after != before {
				t.Errorf("the work tree has changed: %s", after)
			}
		})
	}
}

func TestTakeRefuses(t *testing.T) {
	t.Parallel()
	t.Run("no repository", func(t *testing.T) {
		t.Parallel()
		_, err := Take(context.Background(), t.TempDir(), filepath.Join(t.TempDir(), "s"), Options{Env: os.Environ()})
		if !errors.Is(err, ErrNotARepository) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no commit", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		gitIn(t, dir, "init", "--quiet")
		_, err := Take(context.Background(), dir, filepath.Join(t.TempDir(), "s"), Options{Env: os.Environ()})
		if !errors.Is(err, ErrNoCommit) {
			t.Errorf("got %v", err)
		}
	})
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			if e.Name() == ".git" {
				return filepath.SkipDir
			}
			return nil
		}
		content, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func gitIn(t *testing.T, dir string, args ...string) string {
	t.Helper()
	command := exec.Command("git", append([]string{"-c", "user.name=T", "-c", "user.email=t@example.com"}, args...)...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
