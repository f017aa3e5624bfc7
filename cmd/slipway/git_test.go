package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// runGit runs git in a folder and gives what it prints, trimmed; the settings of whoever runs the tests do not count.
func runGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return runGitEnv(t, dir, append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com"), args...)
}

// runGitEnv is runGit in an environment that decides about git's settings.
func runGitEnv(t *testing.T, dir string, env []string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// initRepository makes a folder a repository on the branch main, with what is in it, if anything, as the first commit.
func initRepository(t *testing.T, dir string) {
	t.Helper()
	runGit(t, dir, "init", "--quiet", "--initial-branch=main")
	commitAll(t, dir)
}

// commitAll commits whatever has changed, and gives the commit.
func commitAll(t *testing.T, dir string) string {
	t.Helper()
	runGit(t, dir, "add", "--all")
	runGit(t, dir, "commit", "--quiet", "--allow-empty", "--message=Change")
	return runGit(t, dir, "rev-parse", "HEAD")
}
