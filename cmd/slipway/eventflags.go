package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
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

func (f *eventFlags) bind(cmd *cobra.Command, where *projectFlags) {
	f.cmd = cmd
	flags := cmd.Flags()
	flags.StringVarP(&f.event, "event", "e", "", "the `EVENT`: a source as push, merge_request, tag or schedule, or a name that \"slipway events\" lists (default: a push of this branch)")
	flags.StringVar(&f.branch, "branch", "", "`BRANCH` of the pipeline, or of the merge request's source")
	flags.StringVar(&f.tag, "tag", "", "`TAG` of the pipeline")
	flags.StringVar(&f.target, "target", "", "target `BRANCH` of the merge request (default: the default branch)")
	flags.StringVar(&f.title, "title", "", "`TITLE` of the merge request")
	flags.StringSliceVar(&f.labels, "label", nil, "`LABEL` of the merge request (repeatable)")
	flags.BoolVar(&f.fork, "fork", false, "the merge request comes from a fork")
	flags.BoolVar(&f.draft, "draft", false, "the merge request is a draft")
	flags.StringSliceVar(&f.changed, "changed", nil, "`PATH` that the push or merge request changes (repeatable; default: what git shows)")
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

// load loads the project and builds the event that the flags describe.
func (f *eventFlags) load(ctx context.Context, where *projectFlags) (*pipeline.Project, pipeline.Event, error) {
	project, err := where.open(ctx)
	if err != nil {
		return nil, pipeline.Event{}, err
	}
	event, err := f.resolve(ctx, where)
	if err == nil {
		event.Inputs, err = f.typedInputs(ctx, project, event)
	}
	return project, event, err
}

// resolve is the event that the flags describe, in that project.
func (f *eventFlags) resolve(ctx context.Context, project *projectFlags) (pipeline.Event, error) {
	event, err := project.event(ctx, eventRequest{name: f.event, branch: f.branch, tag: f.tag, target: f.target, quiet: f.cmd.Flags().Changed("changed") || f.fresh})
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
	return event, nil
}

// typedInputs returns the values of --input in the types that the project declares: a string is a string, whatever it looks
// like; numbers, booleans and arrays are YAML. Errors in the configuration are found when it is compiled.
func (f *eventFlags) typedInputs(ctx context.Context, project *pipeline.Project, event pipeline.Event) (map[string]any, error) {
	if len(f.inputs) == 0 {
		return nil, nil
	}
	types := map[string]string{}
	declared, err := project.Inputs(ctx, event)
	if err != nil && !errors.As(err, new(pipeline.Errors)) {
		return nil, err
	}
	for _, input := range declared {
		types[input.Name] = input.Type
	}
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
			return nil, fmt.Errorf("--input %s: the value is not valid YAML: %w", name, err)
		}
		inputs[name] = value
	}
	return inputs, nil
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
		event.Changed, event.NewBranch = nil, false
		for _, name := range f.changed {
			event.Changed = append(event.Changed, inTree(name, filepath.Separator))
		}
	}
	event.NewBranch = event.NewBranch || f.fresh
	if given("protected") {
		event.RefProtected = f.protect
	} else if given("branch") || given("tag") {
		event.RefProtected = isProtected(*event, defaultBranch)
	}
	event.OpenMergeRequests = append(slices.Clone(event.OpenMergeRequests), f.open...)
	return nil
}
