// Package gitevent makes the event of a git repository: a push of the commit that the work tree stands on, or a merge
// request of its branch, with the paths that it changes.
package gitevent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/git"
	"gitlab.com/slipway-ci/slipway/pipeline"
)

// Options say what of a repository is meant.
type Options struct {
	// Ref is the commit, branch or tag; HEAD if empty. A tag makes a tag pipeline.
	Ref string
	// Before is the commit before the push, whose difference to Ref is what the push changes. If empty it is Ref's first
	// parent; for a commit without one, the push makes the branch.
	Before string
	// Compare names the refs of `rules:changes:compare_to` that the configuration may ask for. Refs that are not there are
	// left out, as GitLab would not find them either.
	Compare []string
}

// Push makes the event of a push.
func Push(ctx context.Context, dir string, o Options) (pipeline.Event, error) {
	r := repository{ctx, dir}
	if o.Ref == "" && o.Before == "" {
		event, err := r.head()
		if err != nil {
			return event, err
		}
		return event, r.compare(&event, o.Compare)
	}
	event, err := r.commit(o)
	if err != nil {
		return event, err
	}
	event.Source = pipeline.Push
	before := o.Before
	if before == "" {
		before, err = r.line("rev-parse", "--verify", "--quiet", event.SHA+"^1")
	}
	if err != nil || before == "" {
		event.NewBranch = true
	} else if event.Changed, err = r.changed(before, event.SHA); err != nil {
		return event, err
	}
	return event, r.compare(&event, o.Compare)
}

// MergeRequest makes the event of a merge request of the ref's branch into target: its changes are those since the two
// parted.
func MergeRequest(ctx context.Context, dir, target string, o Options) (pipeline.Event, error) {
	r := repository{ctx, dir}
	event, err := r.commit(o)
	if err != nil {
		return event, err
	}
	title, _, _ := strings.Cut(event.CommitMessage, "\n")
	event.Source = pipeline.MergeRequest
	event.MergeRequestInfo = &pipeline.MergeRequestInfo{IID: 1, SourceBranch: event.Branch, TargetBranch: target, Title: title}
	base, err := r.line("merge-base", "--end-of-options", target, event.SHA)
	if err != nil {
		return event, fmt.Errorf("%s and %s have no common history here: %w", target, event.Branch, err)
	}
	if event.Changed, err = r.changed(base, event.SHA); err != nil {
		return event, err
	}
	return event, r.compare(&event, o.Compare)
}

type repository struct {
	ctx context.Context
	dir string
}

// head is the push of HEAD. It asks git once, because it is what people plan and run most: five processes take longer than
// compiling.
func (r repository) head() (pipeline.Event, error) {
	event := pipeline.Event{Source: pipeline.Push}
	out, err := r.run("log", "-1", "--first-parent", "-m", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--no-show-signature",
		"--decorate=full", "--format=%H%x00%P%x00%D%x00%B%x00")
	if err != nil {
		return event, fmt.Errorf("there is no commit HEAD: %w", err)
	}
	fields := strings.Split(out, "\x00")
	const message = 3
	if len(fields) <= message {
		return event, fmt.Errorf("git log printed %q", out)
	}
	event.SHA = fields[0]
	event.NewBranch = fields[1] == ""
	// "HEAD -> refs/heads/main, tag: refs/tags/v1"; a detached HEAD has no arrow.
	current, _, _ := strings.Cut(fields[2], ", ")
	if branch, ok := strings.CutPrefix(current, "HEAD -> refs/heads/"); ok {
		event.Branch = branch
	}
	event.CommitMessage = strings.TrimRight(fields[message], "\n")
	if event.NewBranch {
		return event, nil
	}
	for _, path := range fields[message+1:] {
		// A line feed stands between the message and the paths.
		if path = strings.TrimPrefix(path, "\n"); path != "" {
			event.Changed = append(event.Changed, path)
		}
	}
	return event, nil
}

// commit fills in what both kinds of events have.
func (r repository) commit(o Options) (pipeline.Event, error) {
	ref := o.Ref
	if ref == "" {
		ref = "HEAD"
	}
	var event pipeline.Event
	sha, err := r.line("rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		return event, fmt.Errorf("there is no commit %s: %w", ref, err)
	}
	event.SHA = sha
	if event.CommitMessage, err = r.run("log", "-1", "--format=%B", sha); err != nil {
		return event, err
	}
	event.CommitMessage = strings.TrimRight(event.CommitMessage, "\n")
	full, err := r.line("rev-parse", "--symbolic-full-name", "--end-of-options", ref)
	if err != nil {
		full = ""
	}
	full = strings.TrimPrefix(full, "--end-of-options\n")
	switch {
	case strings.HasPrefix(full, "refs/tags/"):
		event.Tag = strings.TrimPrefix(full, "refs/tags/")
	case strings.HasPrefix(full, "refs/heads/"):
		event.Branch = strings.TrimPrefix(full, "refs/heads/")
	case strings.HasPrefix(full, "refs/remotes/"):
		_, event.Branch, _ = strings.Cut(strings.TrimPrefix(full, "refs/remotes/"), "/")
	}
	return event, nil
}

// changed lists the paths that differ between two commits; of a rename both.
func (r repository) changed(from, to string) ([]string, error) {
	out, err := r.run("diff", "--name-only", "-z", "--no-renames", "--no-ext-diff", "--end-of-options", from, to, "--")
	if err != nil {
		return nil, err
	}
	paths := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	return slices.DeleteFunc(paths, func(p string) bool { return p == "" }), nil
}

// compare lists the paths that differ from refs since the histories parted.
func (r repository) compare(event *pipeline.Event, refs []string) error {
	for _, ref := range refs {
		for _, candidate := range []string{ref, "origin/" + strings.TrimPrefix(ref, "refs/heads/")} {
			base, err := r.line("merge-base", "--end-of-options", candidate, event.SHA)
			if err != nil {
				continue
			}
			paths, err := r.changed(base, event.SHA)
			if err != nil {
				return err
			}
			if event.CompareTo == nil {
				event.CompareTo = make(map[string][]string)
			}
			event.CompareTo[ref] = paths
			break
		}
	}
	return nil
}

func (r repository) line(args ...string) (string, error) {
	out, err := r.run(args...)
	return strings.TrimSpace(out), err
}

func (r repository) run(args ...string) (string, error) {
	out, err := git.In(r.dir).Output(r.ctx, args...)
	return string(out), err
}
