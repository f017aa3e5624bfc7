package gitdiff

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// The history of a shallow clone is fetched in steps that double: 50, 100 and so on, 3,150 commits in all, and then as a
// whole. A step costs a round trip, so few and growing ones are cheaper than many small ones.
const (
	firstStep = 50
	steps     = 6
)

// MergeBase returns the commit at which HEAD and ref diverged. The ref is a branch, tag or SHA; a branch that is not in the
// clone is fetched from origin. The history of a shallow clone is deepened until the commit is found.
func MergeBase(ctx context.Context, dir, ref string) (string, error) {
	if strings.HasPrefix(ref, "-") || strings.TrimSpace(ref) == "" {
		return "", fmt.Errorf("%q is not a branch, tag or SHA", ref)
	}
	tip, err := resolve(ctx, dir, ref)
	if err != nil {
		return "", err
	}
	head, err := output(ctx, dir, "rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	head = strings.TrimSpace(head)
	for step := 0; ; step++ {
		if out, err := output(ctx, dir, "merge-base", tip, head); err == nil {
			return strings.TrimSpace(out), nil
		}
		shallow, err := output(ctx, dir, "rev-parse", "--is-shallow-repository")
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(shallow) != "true" {
			return "", fmt.Errorf("HEAD and %s have no common history", ref)
		}
		if step > steps {
			return "", fmt.Errorf("the clone is shallow and its history cannot be fetched; set GIT_DEPTH: 0 in the job's variables")
		}
		depth := "--deepen=" + strconv.Itoa(firstStep<<step)
		if step == steps {
			depth = "--unshallow"
		}
		if _, err := output(ctx, dir, "fetch", "--quiet", "--no-tags", depth, "origin", tip, head); err != nil {
			// A commit that was never pushed cannot be fetched by its SHA; the remote's configured refs can.
			if _, again := output(ctx, dir, "fetch", "--quiet", "--no-tags", depth, "origin"); again != nil {
				return "", fmt.Errorf("the clone is too shallow to find the merge base of HEAD and %s, and more history cannot be fetched "+
					"(set GIT_DEPTH: 0 in the job's variables): %w", ref, err)
			}
		}
	}
}

// resolve finds the commit of a ref, in the clone or at origin.
func resolve(ctx context.Context, dir, ref string) (string, error) {
	for _, name := range []string{ref, "refs/remotes/origin/" + ref} {
		if out, err := output(ctx, dir, "rev-parse", "--quiet", "--verify", name+"^{commit}"); err == nil {
			return strings.TrimSpace(out), nil
		}
	}
	if _, err := output(ctx, dir, "fetch", "--quiet", "--no-tags", "--depth=1", "origin", strings.TrimPrefix(ref, "origin/")); err != nil {
		return "", fmt.Errorf("%s is neither in the clone nor at origin: %w", ref, err)
	}
	out, err := output(ctx, dir, "rev-parse", "FETCH_HEAD")
	return strings.TrimSpace(out), err
}
