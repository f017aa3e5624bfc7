// Package matrix shows which jobs of a configuration exist on which events: the table that a reviewer of a pipeline wants
// to see, and that a golden file can hold.
package matrix

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// A Matrix is jobs by events.
type Matrix struct {
	Events []Column `json:"events"`
	Jobs   []Row    `json:"jobs"`
	// Errors are the reasons for which GitLab refuses the configuration on some events, each once. They are not part of a golden file.
	Errors pipeline.Errors `json:"-"`
}

func (m *Matrix) refuse(errs pipeline.Errors) {
	for _, e := range errs {
		if !slices.ContainsFunc(m.Errors, func(known *pipeline.Error) bool { return known.Error() == e.Error() }) {
			m.Errors = append(m.Errors, e)
		}
	}
}

// A Column is an event and whether it gets a pipeline.
type Column struct {
	Event   string `json:"event"`
	Created bool   `json:"created"`
	// Reason is why there is no pipeline, where GitLab creates none and reports no error ("workflow", "no_jobs", "skip_ci").
	Reason string `json:"reason,omitempty"`
	// Error is the key path of the first problem ("jobs:deploy:needs"), where GitLab refuses.
	Error string `json:"error,omitempty"`
}

// A Row is a job and what it is on each event, in the order of the columns.
type Row struct {
	Job   string `json:"job"`
	Stage string `json:"stage"`
	Cells []Cell `json:"cells"`
}

// A Cell is a job on an event. The zero value means that the job does not exist.
type Cell struct {
	When         pipeline.When `json:"when,omitempty"`
	AllowFailure bool          `json:"allow_failure,omitempty"`
}

// Present reports whether the job exists on the event.
func (c Cell) Present() bool { return c.When != "" }

// String describes the cell in words.
func (c Cell) String() string {
	switch {
	case !c.Present():
		return "absent"
	case c.When == pipeline.Manual && !c.AllowFailure:
		return "manual, blocking"
	case c.When == pipeline.Manual:
		return "manual"
	case c.AllowFailure:
		return string(c.When) + ", may fail"
	default:
		return string(c.When)
	}
}

// Build compiles a project for each event. An event for which the configuration is refused is a column with an error;
// Build fails only if a compilation ends for another reason, such as a cancelled context.
func Build(ctx context.Context, project *pipeline.Project, events []pipeline.Event) (*Matrix, error) {
	m := &Matrix{Events: make([]Column, len(events))}
	rows := newRowOrder()
	for i, o := range project.PlanAll(ctx, events) {
		column := &m.Events[i]
		column.Event = render.EventLabel(o.Event)
		var list pipeline.Errors
		switch {
		case errors.As(o.Err, &list):
			column.Error = list[0].Path
			m.refuse(list)
			if column.Error == "" {
				column.Error = "yaml"
			}
			continue
		case o.Err != nil:
			return nil, fmt.Errorf("%s: %w", column.Event, o.Err)
		}
		column.Created, column.Reason = o.Plan.Created, o.Plan.Reason
		rows.merge(o.Plan, i, len(events))
	}
	m.Jobs = rows.list()
	stages := stageOrder(ctx, project, events)
	slices.SortStableFunc(m.Jobs, func(a, b Row) int { return slices.Index(stages, a.Stage) - slices.Index(stages, b.Stage) })
	return m, nil
}

// stageOrder is `stages` of the configuration, as the first event has it that can be merged.
func stageOrder(ctx context.Context, project *pipeline.Project, events []pipeline.Event) []string {
	for _, event := range events {
		if config, err := project.Config(ctx, event); err == nil {
			return config.Stages()
		}
	}
	return nil
}

// A rowOrder collects rows from plans whose jobs are ordered alike, but of which none need have all.
type rowOrder struct {
	names []string
	rows  map[string]*Row
}

func newRowOrder() *rowOrder { return &rowOrder{rows: map[string]*Row{}} }

// merge adds the jobs of an event's plan. A job that is new comes after the job that precedes it there.
func (o *rowOrder) merge(plan *pipeline.Plan, column, columns int) {
	after := -1
	place := func(job *pipeline.Job) *Row {
		row, ok := o.rows[job.Name]
		if !ok {
			row = &Row{Job: job.Name, Stage: job.Stage, Cells: make([]Cell, columns)}
			o.rows[job.Name] = row
			o.names = slices.Insert(o.names, after+1, job.Name)
		}
		after = slices.Index(o.names, job.Name)
		return row
	}
	if plan.Created {
		for _, job := range plan.Jobs {
			place(job).Cells[column] = Cell{
				When:         job.When,
				AllowFailure: job.AllowFailure || len(job.AllowFailureExitCodes) > 0,
			}
		}
	}
}

func (o *rowOrder) list() []Row {
	rows := make([]Row, len(o.names))
	for i, name := range o.names {
		rows[i] = *o.rows[name]
	}
	return rows
}
