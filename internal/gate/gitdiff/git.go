package gitdiff

import (
	"context"

	"gitlab.com/slipway-ci/slipway/internal/git"
)

// output returns what a git command prints; paths are printed as they are, not with their umlauts quoted.
func output(ctx context.Context, dir string, args ...string) (string, error) {
	out, err := git.In(dir).Output(ctx, append([]string{"-c", "core.quotePath=false"}, args...)...)
	return string(out), err
}
