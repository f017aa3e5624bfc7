package pipelinetest

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// An Event is an event of the project. Beside the constructors of this package, any [pipeline.Event] will do:
//
//	pipelinetest.Event{Event: pipeline.Event{Source: pipeline.API, Branch: "main"}}
type Event struct{ pipeline.Event }

// String is the event's name.
func (e Event) String() string { return render.EventLabel(e.Event) }

// Push is a push to a branch that exists.
func Push(branch string) Event {
	return named("push to "+branch, pipeline.Event{Source: pipeline.Push, Branch: branch})
}

// NewBranch is the push that creates a branch: there is no diff, so every `changes` is true.
func NewBranch(branch string) Event {
	return named("new branch "+branch, pipeline.Event{Source: pipeline.Push, Branch: branch, NewBranch: true})
}

// Tag is the push of a tag.
func Tag(name string) Event {
	return named("tag "+name, pipeline.Event{Source: pipeline.Push, Tag: name})
}

// MergeRequest is a merge request from a branch of the project into the default branch.
func MergeRequest() Event {
	return mergeRequest("merge request", pipeline.MergeRequestInfo{})
}

// MergeRequestFromFork is a merge request from another project.
func MergeRequestFromFork() Event {
	return mergeRequest("merge request from a fork", pipeline.MergeRequestInfo{Fork: true})
}

// DraftMergeRequest is a merge request that is not ready.
func DraftMergeRequest() Event {
	return mergeRequest("draft merge request", pipeline.MergeRequestInfo{Draft: true, Title: "Draft: Change"})
}

// MergedResult is the pipeline of a merge request as if it were merged already.
func MergedResult() Event {
	return mergeRequest("merged result", pipeline.MergeRequestInfo{Kind: "merged_result"})
}

// MergeTrain is the pipeline of a merge request on its train.
func MergeTrain() Event {
	return mergeRequest("merge train", pipeline.MergeRequestInfo{Kind: "merge_train"})
}

// Schedule is a pipeline schedule on a branch.
func Schedule(branch string) Event {
	return named("schedule on "+branch, pipeline.Event{Source: pipeline.Schedule, Branch: branch})
}

// Web is a pipeline that a person starts in the web form.
func Web(branch string) Event {
	return named("web form on "+branch, pipeline.Event{Source: pipeline.Web, Branch: branch})
}

// Trigger is a pipeline that a trigger token starts.
func Trigger(branch string) Event {
	return named("trigger on "+branch, pipeline.Event{Source: pipeline.Trigger, Branch: branch})
}

func mergeRequest(name string, info pipeline.MergeRequestInfo) Event {
	info.IID = 1
	info.SourceBranch = "feature"
	if info.Title == "" {
		info.Title = "Change"
	}
	return named(name, pipeline.Event{Source: pipeline.MergeRequest, Branch: "feature", MergeRequestInfo: &info})
}

func named(name string, event pipeline.Event) Event {
	event.Name = name
	return Event{event}
}

// Changing is the event with paths that the push or the merge request changes.
func (e Event) Changing(paths ...string) Event {
	e.Changed = append(slices.Clone(e.Changed), paths...)
	return e
}

// With is the event with a variable that is given to this run.
func (e Event) With(key, value string) Event {
	e.Variables = append(slices.Clone(e.Variables), pipeline.Variable{Key: key, Value: value})
	return e
}

// WithInput is the event with an input of the pipeline.
func (e Event) WithInput(name string, value any) Event {
	inputs := map[string]any{name: value}
	for k, v := range e.Inputs {
		if k != name {
			inputs[k] = v
		}
	}
	e.Inputs = inputs
	return e
}

// Labelled is the merge request with labels; without a merge request it changes nothing.
func (e Event) Labelled(labels ...string) Event {
	if e.MergeRequestInfo != nil {
		info := *e.MergeRequestInfo
		info.Labels = append(slices.Clone(info.Labels), labels...)
		e.MergeRequestInfo = &info
	}
	return e
}

// Protected is the event on a protected branch or tag.
func (e Event) Protected() Event {
	e.RefProtected = true
	return e
}
