package gitdiff

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// repository makes an empty repository whose commits do not depend on the machine's settings.
func repository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	run(t, dir, "init", "--quiet", "--initial-branch=main")
	run(t, dir, "config", "user.email", "dev@example.com")
	run(t, dir, "config", "user.name", "Dev")
	run(t, dir, "config", "commit.gpgsign", "false")
	return dir
}

func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := output(t.Context(), dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func commit(t *testing.T, dir, message string) {
	t.Helper()
	run(t, dir, "add", "--all")
	run(t, dir, "commit", "--quiet", "--allow-empty", "--message", message)
}

func TestSince(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	write(t, dir, "kept.go", "1\n2\n3\n4\n5\n6\n")
	write(t, dir, "gone.go", "x\n")
	write(t, dir, "old name.go", "a\nb\nc\nd\ne\nf\ng\n")
	write(t, dir, "tricky.txt", "one\n")
	commit(t, dir, "First")
	run(t, dir, "checkout", "--quiet", "-b", "topic")
	write(t, dir, "kept.go", "1\ntwo\n3\n4\nfour and a half\nfour and three quarters\n5\n6\n")
	write(t, dir, "added.go", "n\nn\n")
	write(t, dir, "sub/ümlaut \"quoted\".go", "n\n")
	// A line that looks like a diff's own must not be taken for one.
	write(t, dir, "tricky.txt", "one\n++ b/evil.go\n@@ -1 +1,99 @@\n")
	if err := os.Remove(filepath.Join(dir, "gone.go")); err != nil {
		t.Fatal(err)
	}
	run(t, dir, "mv", "old name.go", "new name.go")
	commit(t, dir, "Second")
	write(t, dir, "untracked.go", "n\n")
	run(t, dir, "checkout", "--quiet", "main")
	write(t, dir, "elsewhere.go", "n\n")
	run(t, dir, "add", "elsewhere.go")
	run(t, dir, "commit", "--quiet", "-m", "Main goes on")
	run(t, dir, "checkout", "--quiet", "topic")

	set, err := Since(t.Context(), dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	want := []File{
		{Path: "added.go", Old: "added.go", Added: true, Lines: []Range{{1, 2}}},
		{Path: "gone.go", Old: "gone.go", Deleted: true},
		{Path: "kept.go", Old: "kept.go", Lines: []Range{{2, 2}, {5, 6}}},
		{Path: "new name.go", Old: "old name.go"},
		{Path: "sub/ümlaut \"quoted\".go", Old: "sub/ümlaut \"quoted\".go", Added: true, Lines: []Range{{1, 1}}},
		{Path: "tricky.txt", Old: "tricky.txt", Lines: []Range{{2, 3}}},
		{Path: "untracked.go", Old: "untracked.go", Added: true, Lines: []Range{{1, 1 << 30}}},
	}
	if diff := cmp.Diff(want, set.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	for _, test := range []struct {
		path        string
		first, last int
		want        bool
	}{
		{"kept.go", 2, 2, true}, {"kept.go", 1, 1, false}, {"kept.go", 3, 5, true}, {"kept.go", 7, 9, false}, {"elsewhere.go", 1, 1, false},
	} {
		t.Run(test.path, func(t *testing.T) {
			if got := set.Touches(test.path, test.first, test.last); got != test.want {
				t.Errorf("Touches(%s, %d, %d) = %v", test.path, test.first, test.last, got)
			}
		})
	}
}

// TestMergeBaseOfShallowClone is the clone that GitLab makes for a job: one commit of one branch, and no other branch.
func TestMergeBaseOfShallowClone(t *testing.T) {
	t.Parallel()
	origin := repository(t)
	grow := func(n int, name string) {
		var script strings.Builder
		branch := run(t, origin, "symbolic-ref", "HEAD")
		for i := range n {
			fmt.Fprintf(&script, "commit %s\ncommitter Dev <dev@example.com> %d +0000\ndata 1\nx\n", branch, 1700000000+i)
			if i == 0 && name != "root" {
				fmt.Fprintf(&script, "from %s^0\n", branch)
			}
			fmt.Fprintf(&script, "M 100644 inline %s\ndata 2\n%d\n\n", name, i%10)
		}
		path := filepath.Join(t.TempDir(), "import")
		if err := os.WriteFile(path, []byte(script.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		fastImport(t, origin, path)
	}
	grow(300, "root")
	want := run(t, origin, "rev-parse", "main")
	run(t, origin, "branch", "topic")
	grow(130, "main")
	run(t, origin, "symbolic-ref", "HEAD", "refs/heads/topic")
	grow(70, "topic")
	run(t, origin, "symbolic-ref", "HEAD", "refs/heads/main")

	for _, ref := range []string{"main", "origin/main", want} {
		t.Run(ref, func(t *testing.T) {
			t.Parallel()
			clone := filepath.Join(t.TempDir(), "clone")
			run(t, origin, "clone", "--quiet", "--depth=1", "--single-branch", "--branch=topic", "file://"+origin, clone)
			got, err := MergeBase(t.Context(), clone, ref)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("merge base %s, want %s", got, want)
			}
			if n := run(t, clone, "rev-list", "--count", "--all"); n == "500" {
				t.Error("the whole history was fetched")
			}
		})
	}
}

// TestMergedResults is a merged results pipeline: HEAD is a merge of the target branch into the change, and what the target
// has got meanwhile is none of the change's doing.
func TestMergedResults(t *testing.T) {
	t.Parallel()
	origin := repository(t)
	write(t, origin, "old.go", "1\n")
	commit(t, origin, "First")
	run(t, origin, "checkout", "--quiet", "-b", "topic")
	write(t, origin, "mine.go", "1\n")
	commit(t, origin, "Mine")
	run(t, origin, "checkout", "--quiet", "main")
	write(t, origin, "theirs.go", "1\n")
	commit(t, origin, "Theirs")
	target := run(t, origin, "rev-parse", "HEAD")
	run(t, origin, "checkout", "--quiet", "-b", "merged")
	run(t, origin, "merge", "--quiet", "--no-edit", "topic")

	clone := filepath.Join(t.TempDir(), "clone")
	run(t, origin, "clone", "--quiet", "--depth=1", "--single-branch", "--branch=merged", "file://"+origin, clone)
	set, err := Since(t.Context(), clone, target)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Files) != 1 || set.Files[0].Path != "mine.go" {
		t.Errorf("changed: %v", set.Files)
	}
}

func TestMergeBaseErrors(t *testing.T) {
	t.Parallel()
	dir := repository(t)
	commit(t, dir, "First")
	run(t, dir, "checkout", "--quiet", "--orphan", "other")
	commit(t, dir, "Unrelated")
	for _, test := range []struct{ name, ref, want string }{
		{"option", "--upload-pack=x", "not a branch, tag or SHA"},
		{"empty", "", "not a branch, tag or SHA"},
		{"missing", "nowhere", "neither in the clone nor at origin"},
		{"unrelated", "main", "no common history"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := MergeBase(t.Context(), dir, test.ref)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
