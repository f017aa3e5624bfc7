package gitevent

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// inJob reports whether the environment is that of a GitLab job whose checkout this repository is.
func (r *Repository) inJob() bool {
	if sha := r.env["CI_COMMIT_SHA"]; sha != "" {
		return sha == r.head
	}
	return r.env["CI_COMMIT_BRANCH"] != "" || r.env["CI_COMMIT_TAG"] != "" || r.env["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"] != ""
}

// identifyJob takes the project's names from the variables of the job.
func (r *Repository) identifyJob() {
	id := &r.Identity
	id.Remote = "CI"
	id.Path = r.env["CI_PROJECT_PATH"]
	id.Host = cmp.Or(r.env["CI_SERVER_FQDN"], r.env["CI_SERVER_HOST"])
	id.Protocol = cmp.Or(r.env["CI_SERVER_PROTOCOL"], "https")
	id.DefaultBranch = cmp.Or(r.env["CI_DEFAULT_BRANCH"], id.DefaultBranch)
	id.Registry, id.SSHPort = r.env["CI_REGISTRY"], r.env["CI_SERVER_SHELL_SSH_PORT"]
	if id.Host != "" {
		id.Projects = cmp.Or(r.env["CI_SERVER_URL"], id.Protocol+"://"+id.Host) + "/"
	}
}

// jobEvent is the event of the pipeline that the job belongs to.
func (r *Repository) jobEvent(ctx context.Context) (pipeline.Event, error) {
	source := pipeline.Source(cmp.Or(r.env["CI_PIPELINE_SOURCE"], string(pipeline.Push)))
	tag, branch := r.env["CI_COMMIT_TAG"], r.env["CI_COMMIT_BRANCH"]
	var event pipeline.Event
	var err error
	switch {
	case r.env["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"] != "":
		event, err = r.jobMergeRequest(ctx)
	case tag != "":
		event, err = r.event(source, tag)
		event.Branch, event.Tag = "", tag
	case source == pipeline.Push:
		event, err = r.jobPush(ctx, branch)
	default:
		event, err = r.event(source, branch)
	}
	if err != nil {
		return event, err
	}
	event.RefProtected = r.env["CI_COMMIT_REF_PROTECTED"] == "true"
	if open := r.env["CI_OPEN_MERGE_REQUESTS"]; open != "" {
		event.OpenMergeRequests = strings.Split(open, ",")
	}
	return event, nil
}

// jobPush is a push whose commits are those that GitLab says were pushed; what they change is known if the clone has them.
func (r *Repository) jobPush(ctx context.Context, branch string) (pipeline.Event, error) {
	event, err := r.event(pipeline.Push, branch)
	if err != nil {
		return event, err
	}
	before := r.env["CI_COMMIT_BEFORE_SHA"]
	if before == "" {
		if before = r.parentOfHead(); before == "" {
			event.NewBranch = true
			return event, nil
		}
	}
	if strings.Trim(before, "0") == "" {
		event.NewBranch = true
		return event, nil
	}
	event.Predefined["CI_COMMIT_BEFORE_SHA"] = before
	if event.Changed, err = r.changed(ctx, before); err != nil {
		r.note("the clone does not have the commit %.8s before the push, so every rules:changes is true; GIT_DEPTH: 0 clones the history", before)
		event.NewBranch = true
		return event, ctx.Err()
	}
	return event, r.compare(ctx, &event)
}

func (r *Repository) jobMergeRequest(ctx context.Context) (pipeline.Event, error) {
	source, target := r.env["CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"], r.env["CI_MERGE_REQUEST_TARGET_BRANCH_NAME"]
	event, err := r.event(pipeline.MergeRequest, source)
	if err != nil {
		return event, err
	}
	iid, _ := strconv.Atoi(r.env["CI_MERGE_REQUEST_IID"])
	info := &pipeline.MergeRequestInfo{IID: max(1, iid), SourceBranch: source, TargetBranch: target, Title: r.env["CI_MERGE_REQUEST_TITLE"],
		Draft: r.env["CI_MERGE_REQUEST_DRAFT"] == "true", Kind: r.env["CI_MERGE_REQUEST_EVENT_TYPE"]}
	if labels := r.env["CI_MERGE_REQUEST_LABELS"]; labels != "" {
		info.Labels = strings.Split(labels, ",")
	}
	if project := r.env["CI_MERGE_REQUEST_SOURCE_PROJECT_PATH"]; project != "" && project != r.Identity.Path {
		info.Fork, info.SourceProject = true, project
	}
	event.MergeRequestInfo = info
	base := r.env["CI_MERGE_REQUEST_DIFF_BASE_SHA"]
	if base == "" {
		if base, err = r.base(ctx, target); err != nil || base == "" {
			return event, err
		}
	}
	event.Predefined["CI_MERGE_REQUEST_DIFF_BASE_SHA"] = base
	if event.Changed, err = r.changed(ctx, base); err != nil {
		if base, err = r.base(ctx, target); err != nil || base == "" {
			return event, err
		}
		if event.Changed, err = r.changed(ctx, base); err != nil {
			return event, err
		}
	}
	return event, r.compare(ctx, &event)
}
