package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// addGitFacts completes an event that is about to run with what the repository knows: who made the commit and when, what
// it comes after, and, unless changedGiven, the paths that it and the uncommitted work change.
func addGitFacts(ctx context.Context, dir string, event *pipeline.Event, defaultBranch string, changedGiven bool) {
	known := map[string]string{
		"CI_COMMIT_AUTHOR":    gitLine(ctx, dir, "log", "-1", "--format=%an <%ae>"),
		"CI_COMMIT_TIMESTAMP": gitLine(ctx, dir, "log", "-1", "--format=%cI"),
	}
	before := ""
	switch {
	case event.MergeRequestInfo != nil:
		target := event.MergeRequestInfo.TargetBranch
		if target == "" {
			target = defaultBranch
		}
		for _, ref := range []string{target, "origin/" + target} {
			if before == "" {
				before = gitLine(ctx, dir, "merge-base", "--end-of-options", ref, "HEAD")
			}
		}
		known["CI_MERGE_REQUEST_DIFF_BASE_SHA"] = before
	case event.Source == pipeline.Push && event.Tag == "" && !event.NewBranch:
		before = gitLine(ctx, dir, "rev-parse", "--verify", "--quiet", "HEAD^1")
		known["CI_COMMIT_BEFORE_SHA"] = before
		event.NewBranch = before == ""
	}
	if before != "" && !changedGiven {
		names := gitLine(ctx, dir, "diff", "--name-only", "--no-renames", "-z", before) + "\x00" +
			gitLine(ctx, dir, "ls-files", "--others", "--exclude-standard", "--full-name", "-z")
		event.Changed = slices.DeleteFunc(strings.Split(names, "\x00"), func(name string) bool { return name == "" })
	}
	maps.DeleteFunc(known, func(_, value string) bool { return value == "" })
	maps.Copy(known, event.Predefined)
	event.Predefined = known
}

// gitUser is the person whose name git puts on commits made here.
func gitUser(ctx context.Context, dir string) runner.User {
	return runner.User{Name: gitLine(ctx, dir, "config", "user.name"), Email: gitLine(ctx, dir, "config", "user.email")}
}
