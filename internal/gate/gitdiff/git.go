package gitdiff

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// git runs a git command in a directory. Its settings are the same for everybody: no prompts, no quoted umlauts, no
// translated messages.
func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.quotePath=false"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err == nil {
		return stdout.String(), nil
	}
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("git is not installed; install it in the job's image")
	}
	text := strings.TrimSpace(stderr.String())
	if strings.Contains(text, "dubious ownership") {
		text += "; the checkout belongs to another user, run `git config --global --add safe.directory \"$PWD\"` first"
	}
	return "", fmt.Errorf("git %s: %w: %s", args[0], err, text)
}
