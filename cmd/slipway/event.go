package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/gitevent"
)

// sources are what --event takes beside the names of standard events.
var sources = map[string]pipeline.Source{
	"push": pipeline.Push, "tag": pipeline.Push, "merge_request": pipeline.MergeRequest, "merge_request_event": pipeline.MergeRequest,
	"schedule": pipeline.Schedule, "web": pipeline.Web, "api": pipeline.API, "trigger": pipeline.Trigger,
	"pipeline": pipeline.MultiProject, "parent_pipeline": pipeline.ParentPipeline,
}

// An eventRequest names an event: a standard one, or a source with the refs that belong to it. Without a name it is what the
// work tree represents.
type eventRequest struct {
	name, branch, tag, target string
	// quiet leaves out the notes on changed paths, which are given otherwise.
	quiet bool
}

// event builds an event; plan, run, lint, matrix, compile and diff all get theirs here.
func (f *projectFlags) event(ctx context.Context, r eventRequest) (pipeline.Event, error) {
	for _, event := range pipeline.StandardEvents() {
		if r.name == event.Name {
			return event, nil
		}
	}
	source, ok := pipeline.Push, true
	if r.name != "" {
		source, ok = sources[r.name]
	}
	switch {
	case !ok:
		return pipeline.Event{}, unknownEvent(r.name)
	case r.name == "tag" && r.tag == "":
		return pipeline.Event{}, fmt.Errorf("--event tag needs --tag NAME")
	}
	if err := f.identify(ctx); err != nil {
		return pipeline.Event{}, err
	}
	event, err := f.fromRepository(ctx, source, r)
	if errors.Is(err, gitevent.ErrDetached) {
		return event, fmt.Errorf("%w; select the pipeline with --branch NAME, --event tag --tag NAME, or an event that `slipway events` lists", err)
	}
	if err != nil {
		return event, err
	}
	if f.repository != nil && !r.quiet {
		for _, note := range f.repository.Notes() {
			f.note("%s", note)
		}
	}
	if source == pipeline.MergeRequest && event.MergeRequestInfo == nil {
		event.MergeRequestInfo = &pipeline.MergeRequestInfo{IID: 1, Title: "Change", SourceBranch: event.Branch}
	}
	event.RefProtected = event.RefProtected || isProtected(event, f.defBranch)
	return event, nil
}

// isProtected reports whether GitLab protects the branch in a project with default settings: the default branch.
func isProtected(event pipeline.Event, defaultBranch string) bool {
	return event.MergeRequestInfo == nil && event.Tag == "" && event.Branch == defaultBranch
}

func (f *projectFlags) fromRepository(ctx context.Context, source pipeline.Source, r eventRequest) (pipeline.Event, error) {
	if f.repository == nil {
		event := pipeline.Event{Source: source, AnyRef: true, Branch: r.branch}
		if event.Branch == "" {
			event.Branch = f.defBranch
		}
		return event, nil
	}
	f.repository.Identity.DefaultBranch = f.defBranch
	switch {
	case r.tag != "":
		event, err := f.repository.Other(source, r.tag)
		event.Branch, event.Tag = "", r.tag
		return event, err
	case source == pipeline.MergeRequest:
		return f.repository.MergeRequest(ctx, r.branch, r.target)
	case source != pipeline.Push:
		return f.repository.Other(source, r.branch)
	case r.branch != "":
		return f.repository.Push(ctx, r.branch)
	case r.name == "":
		return f.repository.Current(ctx)
	}
	return f.repository.Push(ctx, "")
}

// events builds the events of these names, all standard ones if there are none. The standard ones, which are looked at
// whatever the repository holds, change the given paths.
func (f *projectFlags) events(ctx context.Context, names, changed []string) ([]pipeline.Event, error) {
	var events []pipeline.Event
	if len(names) == 0 {
		events = pipeline.StandardEvents()
	}
	for _, name := range names {
		event, err := f.event(ctx, eventRequest{name: name, quiet: len(changed) > 0})
		if err != nil {
			return nil, err
		}
		events = append(events, event)
	}
	for i := range events {
		if events[i].Name != "" || len(changed) > 0 {
			events[i].Changed = changed
			events[i].NewBranch = events[i].NewBranch && events[i].Name != ""
		}
	}
	return events, nil
}

// unknownEvent is the error about the name of an event, with the name that was probably meant.
func unknownEvent(name string) error {
	names := slices.Sorted(maps.Keys(sources))
	for _, event := range pipeline.StandardEvents() {
		names = append(names, event.Name)
	}
	if near := spelling.Closest(name, names); near != "" {
		return fmt.Errorf("no event %q; did you mean %q?", name, near)
	}
	return fmt.Errorf("no event %q; `slipway events` lists the names", name)
}
