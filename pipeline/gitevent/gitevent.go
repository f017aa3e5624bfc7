// Package gitevent builds the event of a git repository: the push, or the merge request, that the work tree would become, with
// the paths that it changes.
//
// A push holds what the server does not have yet: the commits since the remote-tracking branch, and the uncommitted files. A
// branch that the server lacks is a new one. A detached HEAD belongs to no branch; which pipeline is meant is then read from
// the variables of a GitLab job, and an error otherwise.
package gitevent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// ErrDetached is the error of events that need a branch where HEAD is detached and nothing says which one is meant.
var ErrDetached = errors.New("HEAD is detached: no branch is checked out")

// Options choose what is read.
type Options struct {
	// Committed ignores uncommitted and untracked files.
	Committed bool
	// Env are environment variables, each as "NAME=value". In a job of GitLab, whose HEAD is detached, CI_COMMIT_BRANCH,
	// CI_COMMIT_TAG and the others identify the pipeline.
	Env []string
}

// Current returns the event that the work tree represents: in a job of GitLab that of its pipeline, otherwise a push of the
// current branch.
func (r *Repository) Current(ctx context.Context) (pipeline.Event, error) {
	if r.branch == "" && r.inJob() {
		return r.jobEvent(ctx)
	}
	return r.Push(ctx, "")
}

// Push returns the event of a push of HEAD to a branch, the current one if empty.
func (r *Repository) Push(ctx context.Context, branch string) (pipeline.Event, error) {
	event, err := r.event(pipeline.Push, branch)
	if err != nil {
		return event, err
	}
	before := r.before(ctx, event.Branch)
	if before == "" {
		event.NewBranch = true
		return event, r.compare(ctx, &event)
	}
	event.Predefined["CI_COMMIT_BEFORE_SHA"] = before
	if event.Changed, err = r.changed(ctx, before); err != nil {
		return event, err
	}
	return event, r.compare(ctx, &event)
}

// MergeRequest returns the event of a merge request of a branch, the current one if empty, into a target branch, the default
// branch if empty. Its changes are those since the two diverged.
func (r *Repository) MergeRequest(ctx context.Context, branch, target string) (pipeline.Event, error) {
	event, err := r.event(pipeline.MergeRequest, branch)
	if err != nil {
		return event, err
	}
	title, _, _ := strings.Cut(event.CommitMessage, "\n")
	event.MergeRequestInfo = &pipeline.MergeRequestInfo{IID: 1, SourceBranch: event.Branch, TargetBranch: target, Title: title}
	if target == "" {
		target = r.Identity.DefaultBranch
	}
	base, err := r.base(ctx, target)
	if err != nil || base == "" {
		return event, err
	}
	event.Predefined["CI_MERGE_REQUEST_DIFF_BASE_SHA"] = base
	if event.Changed, err = r.changed(ctx, base); err != nil {
		return event, err
	}
	return event, r.compare(ctx, &event)
}

// Other returns the event of another source, such as a schedule, for HEAD as a commit of a branch, the current one if empty.
func (r *Repository) Other(source pipeline.Source, branch string) (pipeline.Event, error) {
	return r.event(source, branch)
}

// event returns what the events of all sources have.
func (r *Repository) event(source pipeline.Source, branch string) (pipeline.Event, error) {
	if branch == "" {
		branch = r.branch
	}
	event := pipeline.Event{Source: source, Branch: branch, SHA: r.head, CommitMessage: r.message, AnyRef: true, Predefined: map[string]string{}}
	if branch == "" {
		return event, fmt.Errorf("%w%s", ErrDetached, r.detachedAt())
	}
	r.addCommit(&event)
	return event, nil
}

func (r *Repository) addCommit(event *pipeline.Event) {
	if r.head == "" {
		return
	}
	event.Predefined["CI_COMMIT_AUTHOR"] = r.author
	event.Predefined["CI_COMMIT_TIMESTAMP"] = r.committed
}

// before returns the commit that a push of HEAD to a branch comes after; empty if the push makes the branch, or if nobody
// can know.
func (r *Repository) before(ctx context.Context, branch string) string {
	if r.head == "" {
		return ""
	}
	if r.remote == "" {
		return r.parentOfHead()
	}
	known := r.tracking(branch)
	if known == "" && !r.tracks {
		r.note("this clone does not track the branches of %s (it has no remote.%s.fetch to refs/remotes/): a push is taken to be of the last commit", r.remote, r.remote)
		return r.parentOfHead()
	}
	if known == "" {
		r.note("%s has no branch %s that is known here: a push creates it, so every rules:changes is true", r.remote, branch)
		return ""
	}
	if known != r.head {
		if _, err := r.git.Output(ctx, "merge-base", "--is-ancestor", r.head, known); err != nil {
			return known
		}
	}
	// Everything is pushed: what is left are uncommitted files, or the last push once more.
	if len(r.dirty) > 0 {
		return r.head
	}
	return r.parentOfHead()
}

// parentOfHead returns the first parent of HEAD, empty if it has none here.
func (r *Repository) parentOfHead() string {
	if r.parent == "" && r.shallow {
		r.note("the clone is shallow and ends at %.8s: what that commit changes is unknown here, so every rules:changes is true; "+
			"git fetch --deepen=1 gets the commit before it", r.head)
	}
	return r.parent
}

// base returns the commit where HEAD and a target branch diverged. What the server has of the branch counts more than what is
// here. If there is no such branch it is noted: the pipeline may be another one on GitLab.
func (r *Repository) base(ctx context.Context, target string) (string, error) {
	tip := r.tracking(target)
	if tip == "" {
		tip = r.heads[target]
	}
	if tip == "" || r.head == "" {
		r.note("there is no branch %s to compare with, so rules:changes sees no change; git fetch gets it, if %s has it", target, cmp.Or(r.remote, "the server"))
		return "", nil
	}
	base, err := r.git.Text(ctx, "merge-base", tip, r.head)
	switch {
	case err == nil:
		return base, nil
	case r.shallow:
		r.note("the clone is shallow: the commit where this branch left %s is missing, so it is compared with %s as it is now; "+
			"git fetch --unshallow gets the history", target, target)
	default:
		r.note("HEAD and %s have no common history: they are compared as they are", target)
	}
	return tip, ctx.Err()
}

// changed lists the paths below the project's folder that differ from a commit, uncommitted ones included; of a rename both.
func (r *Repository) changed(ctx context.Context, from string) ([]string, error) {
	paths, err := r.git.List(ctx, "diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=dirty", from, r.head, "--")
	if err != nil {
		return nil, err
	}
	paths = append(paths, r.dirty...)
	slices.Sort(paths)
	var below []string
	for _, path := range slices.Compact(paths) {
		if path, ok := strings.CutPrefix(path, r.prefix); ok {
			below = append(below, path)
		}
	}
	return below, nil
}

// compare adds the paths that differ from the default branch, with which `rules:changes:compare_to` usually compares.
func (r *Repository) compare(ctx context.Context, event *pipeline.Event) error {
	name := r.Identity.DefaultBranch
	tip := r.tracking(name)
	if tip == "" {
		tip = r.heads[name]
	}
	if tip == "" || r.head == "" {
		return nil
	}
	base, err := r.git.Text(ctx, "merge-base", tip, r.head)
	if err != nil {
		return ctx.Err()
	}
	paths, err := r.changed(ctx, base)
	if err != nil {
		return err
	}
	event.CompareTo = map[string][]string{name: paths, "refs/heads/" + name: paths}
	return nil
}

func (r *Repository) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.notes, text) {
		r.notes = append(r.notes, text)
	}
}

// Notes returns remarks on the events that were built: where a shallow clone ends, and what was assumed.
func (r *Repository) Notes() []string { return r.notes }

// detachedAt describes the commit of a detached HEAD by the branches and tags that point at it.
func (r *Repository) detachedAt() string {
	var names []string
	for _, name := range r.pointing {
		names = append(names, strings.TrimPrefix(strings.TrimPrefix(name, "refs/"), "heads/"))
	}
	if len(names) == 0 {
		return ""
	}
	return " (it is at " + strings.Join(names, ", ") + ")"
}

// trackingRef is the name of the remote-tracking branch.
func (r *Repository) trackingRef(branch string) string {
	return "refs/remotes/" + r.remote + "/" + branch
}

// tracking returns the commit that the server has as a branch, as far as the clone knows.
func (r *Repository) tracking(branch string) string {
	if r.remote == "" {
		return ""
	}
	if commit := r.refs[r.trackingRef(branch)]; commit != "" {
		return commit
	}
	// A branch that is pushed under another name.
	if branch == r.branch && r.pushToUpstream && r.upstream != "" {
		return r.refs["refs/remotes/"+r.upstream]
	}
	return ""
}
