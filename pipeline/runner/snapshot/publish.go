package snapshot

import (
	"context"
	"fmt"

	"gitlab.com/slipway-ci/slipway/internal/git"
)

// Publish makes the sources a commit that can be fetched from the snapshot by the name of a ref: the commit that was checked out, or
// one on top of it with the uncommitted changes. It returns that commit.
func (s *Snapshot) Publish(ctx context.Context, env []string, ref string) (string, error) {
	in := git.Command{Dir: s.Dir, Env: env, Set: []string{
		// The same sources yield the same commit.
		"GIT_AUTHOR_NAME=slipway", "GIT_AUTHOR_EMAIL=slipway@localhost", "GIT_AUTHOR_DATE=2000-01-01T00:00:00Z",
		"GIT_COMMITTER_NAME=slipway", "GIT_COMMITTER_EMAIL=slipway@localhost", "GIT_COMMITTER_DATE=2000-01-01T00:00:00Z",
	}}
	commit := s.Commit
	if s.Changed {
		var err error
		if commit, err = in.Text(ctx, "commit-tree", "-p", s.Commit, "-m", "Uncommitted changes", s.Tree); err != nil {
			return "", fmt.Errorf("publish the sources: %w", err)
		}
	}
	if _, err := in.Text(ctx, "update-ref", ref, commit); err != nil {
		return "", fmt.Errorf("publish the sources: %w", err)
	}
	return commit, nil
}
