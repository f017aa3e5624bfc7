package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// plan, matrix, compile and run look at one event: uncommitted files count in all of them, and with --committed in none.
func TestOneEventForAllCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("src: {script: [\"true\"], rules: [{changes: [src.txt]}]}\nreadme: {script: [\"true\"], rules: [{changes: [README.md]}]}\n"))
	fill(t, filepath.Join(dir, "README.md"), []byte("one"))
	initRepository(t, dir)
	fill(t, filepath.Join(dir, "src.txt"), []byte("one"))
	commitAll(t, dir)
	fill(t, filepath.Join(dir, "README.md"), []byte("two"))
	fill(t, filepath.Join(dir, "new.yml"), []byte("a: {script: [x]}"))
	for _, c := range []struct {
		args []string
		both bool
	}{
		{[]string{"plan"}, true},
		{[]string{"plan", "--committed"}, false},
		{[]string{"matrix", "--event", "push"}, true},
		{[]string{"matrix", "--event", "push", "--committed"}, false},
		{[]string{"run", "--no-input"}, true},
		{[]string{"run", "--no-input", "--committed"}, false},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			code, stdout, stderr := command(t, append(c.args, "-C", dir)...)
			// The matrix has a row for each job that is there.
			if code != 0 || !strings.Contains(stdout, "src") {
				t.Errorf("%v: %d\n%s%s", c.args, code, stdout, stderr)
			}
			shown, _, _ := strings.Cut(stdout, "left out")
			if got := strings.Contains(shown, "readme"); got != c.both {
				t.Errorf("%v: readme is there: %t\n%s%s", c.args, got, stdout, stderr)
			}
		})
	}
	if code, _, stderr := command(t, "plan", "--committed", "--config", "new.yml", "-C", dir); code != 2 || !strings.Contains(stderr, "no new.yml") {
		t.Errorf("the configuration is not committed: %d %s", code, stderr)
	}
}

// A detached HEAD never becomes a push to the default branch.
func TestDetachedHeadIsRefused(t *testing.T) {
	dir := t.TempDir()
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("prod: {script: [x], rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]}\nall: {script: [x]}\n"))
	initRepository(t, dir)
	runGit(t, dir, "checkout", "--quiet", "--detach")
	for _, name := range []string{"plan", "run", "compile"} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := command(t, name, "-C", dir)
			if code != 2 || stdout != "" || !strings.Contains(stderr, "HEAD is detached") || !strings.Contains(stderr, "at main") || !strings.Contains(stderr, "--branch NAME") {
				t.Errorf("%s: %d\n%s%s", name, code, stdout, stderr)
			}
		})
	}
	if code, stdout, stderr := command(t, "lint", "-C", dir); code != 0 {
		t.Errorf("lint needs no event: %d\n%s%s", code, stdout, stderr)
	}
	t.Setenv("CI_COMMIT_BRANCH", "topic")
	if code, stdout, stderr := command(t, "plan", "-C", dir); code != 0 || strings.Contains(strings.Split(stdout, "left out")[0], "prod") {
		t.Errorf("in a job: %d\n%s%s", code, stdout, stderr)
	}
}
