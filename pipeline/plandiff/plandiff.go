// Package plandiff compares the jobs of each event before and after a change of the configuration.
package plandiff

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// A Diff is the difference of the pipelines of one event.
type Diff struct {
	Event string `json:"event"`
	// Before and After are "created" if there is a pipeline, else the reason why not; both are empty if nothing differs there.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Pipeline holds what differs in the pipeline itself: its name, its stages, auto_cancel.
	Pipeline []Keyword `json:"pipeline,omitempty"`
	Added    []string  `json:"added,omitempty"`
	Removed  []string  `json:"removed,omitempty"`
	Changed  []Job     `json:"changed,omitempty"`
}

// Empty reports whether nothing differs.
func (d *Diff) Empty() bool {
	return d.Before == d.After && len(d.Pipeline) == 0 && len(d.Added) == 0 && len(d.Removed) == 0 && len(d.Changed) == 0
}

// A Job is a job that both pipelines have, with the keywords that differ.
type Job struct {
	Job      string    `json:"job"`
	Keywords []Keyword `json:"keywords"`
}

// A Keyword is a keyword that differs; a side that does not have it is nil.
type Keyword struct {
	Keyword string `json:"keyword"`
	Before  any    `json:"before"`
	After   any    `json:"after"`
}

// Compare compiles both projects for each event. The result has one entry per event, in order, empty ones too. A
// configuration that is refused is an outcome, not an error.
func Compare(ctx context.Context, before, after *pipeline.Project, events []pipeline.Event) ([]Diff, error) {
	diffs := make([]Diff, len(events))
	was, is := before.PlanAll(ctx, events), after.PlanAll(ctx, events)
	for i, event := range events {
		a, err := verdict(was[i])
		if err != nil {
			return nil, err
		}
		b, err := verdict(is[i])
		if err != nil {
			return nil, err
		}
		diffs[i] = compare(render.EventLabel(event), a, b)
	}
	return diffs, nil
}

// An outcome is what an event leads to, as plain JSON values.
type outcome struct {
	text     string
	pipeline map[string]any
	names    []string
	jobs     map[string]map[string]any
}

func verdict(compiled pipeline.Outcome) (outcome, error) {
	plan := compiled.Plan
	var refused pipeline.Errors
	switch {
	case errors.As(compiled.Err, &refused):
		return outcome{text: "refused: " + refused[0].Error()}, nil
	case compiled.Err != nil:
		return outcome{}, fmt.Errorf("%s: %w", render.EventLabel(compiled.Event), compiled.Err)
	case !plan.Created:
		return outcome{text: "no pipeline: " + render.NotCreated(plan.Reason)}, nil
	}
	o := outcome{text: "created", jobs: map[string]map[string]any{}}
	o.pipeline = plain(map[string]any{"name": plan.Name, "stages": plan.Stages, "auto_cancel": plan.AutoCancel})
	for _, job := range plan.Jobs {
		o.names = append(o.names, job.Name)
		o.jobs[job.Name] = plain(job.GitLab())
	}
	return o, nil
}

// plain turns typed values into those that encoding/json knows, so that equal means the same.
func plain(v any) map[string]any {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("plandiff: a plan is plain data: %v", err))
	}
	out := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		panic(fmt.Sprintf("plandiff: %v", err))
	}
	return out
}

func compare(event string, a, b outcome) Diff {
	d := Diff{Event: event}
	if a.text != b.text {
		d.Before, d.After = a.text, b.text
	}
	if a.pipeline != nil && b.pipeline != nil {
		d.Pipeline = keywords(a.pipeline, b.pipeline)
	}
	for _, name := range a.names {
		if _, ok := b.jobs[name]; !ok {
			d.Removed = append(d.Removed, name)
		} else if changed := keywords(a.jobs[name], b.jobs[name]); len(changed) > 0 {
			d.Changed = append(d.Changed, Job{Job: name, Keywords: changed})
		}
	}
	for _, name := range b.names {
		if _, ok := a.jobs[name]; !ok {
			d.Added = append(d.Added, name)
		}
	}
	return d
}

// keywords are the keys whose values differ, sorted.
func keywords(a, b map[string]any) []Keyword {
	names := slices.Collect(maps.Keys(a))
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var changed []Keyword
	for _, name := range names {
		if !bytes.Equal(encoded(a[name]), encoded(b[name])) {
			changed = append(changed, Keyword{Keyword: name, Before: a[name], After: b[name]})
		}
	}
	return changed
}

// encoded is the canonical text of a plain value: encoding/json sorts keys.
func encoded(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	// A plain value came from JSON: it can be written as JSON.
	_ = e.Encode(v)
	return bytes.TrimSpace(b.Bytes())
}
