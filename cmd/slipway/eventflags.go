package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/git"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/gitevent"
)

// eventFlags say what happened: a standard event by its name, or a source with what belongs to it. Without any, it is a
// push of the commit that the work tree stands on.
type eventFlags struct {
	event, branch, tag          string
	target, title               string
	labels, changed, open       []string
	fork, draft, fresh, protect bool
	vars, inputs                []string
	cmd                         *cobra.Command
}

// sources are what --event takes beside the names of standard events.
var sources = map[string]pipeline.Source{
	"push": pipeline.Push, "tag": pipeline.Push, "merge_request": pipeline.MergeRequest, "merge_request_event": pipeline.MergeRequest,
	"schedule": pipeline.Schedule, "web": pipeline.Web, "api": pipeline.API, "trigger": pipeline.Trigger,
	"pipeline": pipeline.MultiProject, "parent_pipeline": pipeline.ParentPipeline,
}

func (f *eventFlags) bind(cmd *cobra.Command, where *projectFlags) {
	f.cmd = cmd
	flags := cmd.Flags()
	flags.StringVarP(&f.event, "event", "e", "", "the `EVENT` that happened: push, merge_request, tag, schedule, web, api, trigger, pipeline, parent_pipeline, or a name that \"slipway events\" lists (default: a push of the current commit)")
	flags.StringVar(&f.branch, "branch", "", "`BRANCH` of the pipeline, or of the merge request's source")
	flags.StringVar(&f.tag, "tag", "", "`TAG` of the pipeline")
	flags.StringVar(&f.target, "target", "", "target `BRANCH` of the merge request (default: the default branch)")
	flags.StringVar(&f.title, "title", "", "`TITLE` of the merge request")
	flags.StringSliceVar(&f.labels, "label", nil, "`LABEL` of the merge request (repeatable)")
	flags.BoolVar(&f.fork, "fork", false, "the merge request comes from a fork")
	flags.BoolVar(&f.draft, "draft", false, "the merge request is a draft")
	flags.StringSliceVar(&f.changed, "changed", nil, "`PATH` that the push or merge request changes (repeatable; default: as git tells)")
	flags.BoolVar(&f.fresh, "new-branch", false, "the push makes the branch: there is no diff")
	flags.StringSliceVar(&f.open, "open-merge-request", nil, "open merge request of the branch, a `REFERENCE` as group/project!1 (repeatable)")
	flags.BoolVar(&f.protect, "protected", false, "the branch or tag is protected (default: the default branch is)")
	flags.StringArrayVar(&f.vars, "var", nil, "variable of this run, `KEY=VALUE` (repeatable)")
	flags.StringArrayVar(&f.inputs, "input", nil, "input of the pipeline, `NAME=VALUE` (repeatable; arrays as in YAML: [a, b])")
	_ = cmd.RegisterFlagCompletionFunc("event", completeEvents)
	_ = cmd.RegisterFlagCompletionFunc("branch", completeRefs(where, "heads"))
	_ = cmd.RegisterFlagCompletionFunc("target", completeRefs(where, "heads"))
	_ = cmd.RegisterFlagCompletionFunc("tag", completeRefs(where, "tags"))
}

// load loads the project and makes the event that the flags describe.
func (f *eventFlags) load(ctx context.Context, where *projectFlags) (*pipeline.Project, pipeline.Event, error) {
	project, err := where.open()
	if err != nil {
		return nil, pipeline.Event{}, err
	}
	event, err := f.resolve(ctx, where)
	return project, event, err
}

// resolve is the event that the flags describe, in that project.
func (f *eventFlags) resolve(ctx context.Context, project *projectFlags) (pipeline.Event, error) {
	event, err := f.start(ctx, project.dir, project.defBranch)
	if err != nil {
		return event, err
	}
	if err := f.refine(&event, project.defBranch); err != nil {
		return event, err
	}
	for _, pair := range f.vars {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return event, fmt.Errorf("--var %q: want KEY=VALUE", pair)
		}
		event.Variables = append(event.Variables, pipeline.Variable{Key: key, Value: value})
	}
	event.Inputs, err = f.typedInputs(project)
	return event, err
}

// typedInputs are the values of --input in the types that the configuration declares: text is text, whatever it looks
// like, and numbers, booleans and arrays are YAML.
func (f *eventFlags) typedInputs(project *projectFlags) (map[string]any, error) {
	if len(f.inputs) == 0 {
		return nil, nil
	}
	types := project.inputTypes()
	inputs := map[string]any{}
	for _, pair := range f.inputs {
		name, text, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("--input %q: want NAME=VALUE", pair)
		}
		inputs[name] = text
		if kind := types[name]; kind == "" || kind == "string" {
			continue
		}
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			return nil, fmt.Errorf("--input %s: the value is no YAML: %w", name, err)
		}
		inputs[name] = value
	}
	return inputs, nil
}

// start is the event before the other flags refine it.
func (f *eventFlags) start(ctx context.Context, dir, defaultBranch string) (pipeline.Event, error) {
	for _, event := range pipeline.StandardEvents() {
		if f.event == event.Name {
			return event, nil
		}
	}
	source, ok := pipeline.Push, true
	if f.event != "" {
		source, ok = sources[f.event]
	}
	switch {
	case !ok:
		_, err := standardEvent(pipeline.StandardEvents(), f.event, slices.Sorted(maps.Keys(sources))...)
		return pipeline.Event{}, err
	case f.event == "tag" && f.tag == "":
		return pipeline.Event{}, fmt.Errorf("--event tag needs --tag NAME")
	}
	event, err := gitevent.Push(ctx, dir, gitevent.Options{})
	inRepository := err == nil
	if !inRepository {
		event = pipeline.Event{}
	}
	event.Source, event.AnyRef = source, true
	if event.Branch == "" {
		event.Branch = defaultBranch
	}
	if source == pipeline.MergeRequest {
		event.MergeRequestInfo = &pipeline.MergeRequestInfo{IID: 1, Title: "Change"}
		event.Changed, event.NewBranch = nil, false
		if inRepository && !f.cmd.Flags().Changed("changed") {
			event.Changed = f.changedSince(ctx, dir, cmp.Or(f.target, defaultBranch))
		}
	}
	return event, nil
}

// changedSince are the paths that the current commit changes since it left the target branch, here or on the server. If
// there is no such branch it says so: the plan may be another one on GitLab.
func (f *eventFlags) changedSince(ctx context.Context, dir, target string) []string {
	for _, ref := range []string{"origin/" + target, target} {
		if event, err := gitevent.MergeRequest(ctx, dir, ref, gitevent.Options{}); err == nil {
			return event.Changed
		}
	}
	fmt.Fprintf(f.cmd.ErrOrStderr(), "slipway: no branch %s to compare with, so rules:changes sees no change; --changed PATH names some\n", target)
	return nil
}

// refine applies the flags that were given.
func (f *eventFlags) refine(event *pipeline.Event, defaultBranch string) error {
	given := f.cmd.Flags().Changed
	mr := event.MergeRequestInfo
	for _, name := range []string{"target", "title", "label", "fork", "draft"} {
		if given(name) && mr == nil {
			return fmt.Errorf("--%s belongs to --event merge_request", name)
		}
	}
	if given("tag") {
		if given("branch") {
			return fmt.Errorf("--branch and --tag: a pipeline is for one of them")
		}
		event.Branch, event.Tag = "", f.tag
	}
	if given("branch") {
		event.Branch, event.Tag = f.branch, ""
	}
	if mr != nil {
		copied := *mr
		mr = &copied
		event.MergeRequestInfo = mr
		if mr.SourceBranch == "" || given("branch") {
			mr.SourceBranch = event.Branch
		}
		if given("target") {
			mr.TargetBranch = f.target
		}
		if given("title") {
			mr.Title = f.title
		}
		mr.Labels = append(slices.Clone(mr.Labels), f.labels...)
		mr.Fork = mr.Fork || f.fork
		mr.Draft = mr.Draft || f.draft
	}
	if given("changed") {
		event.Changed, event.NewBranch = f.changed, false
	}
	event.NewBranch = event.NewBranch || f.fresh
	if given("protected") {
		event.RefProtected = f.protect
	} else if event.Name == "" && mr == nil {
		// GitLab protects the default branch of a new project.
		event.RefProtected = event.Tag == "" && event.Branch == defaultBranch
	}
	event.OpenMergeRequests = append(slices.Clone(event.OpenMergeRequests), f.open...)
	return nil
}

// gitLine is what a git command prints, trimmed; empty if there is no repository, or no commit, to ask.
func gitLine(ctx context.Context, dir string, args ...string) string {
	out, err := git.In(dir).Text(ctx, args...)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(out)
}
