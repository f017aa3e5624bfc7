package matrix

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Parse reads a matrix back from what [Matrix.Text] or [Matrix.JSON] wrote.
func Parse(data []byte) (*Matrix, error) {
	if text := strings.TrimSpace(string(data)); strings.HasPrefix(text, "{") {
		m := &Matrix{}
		if err := json.Unmarshal(data, m); err != nil {
			return nil, fmt.Errorf("matrix: %w", err)
		}
		for _, row := range m.Jobs {
			if len(row.Cells) != len(m.Events) {
				return nil, fmt.Errorf("matrix: job %q has %d cells for %d events", row.Job, len(row.Cells), len(m.Events))
			}
		}
		return m, nil
	}
	return parseText(string(data))
}

// parseText reads a header of event names, then rows "job | stage | cells" up to the first empty line, then the reasons.
func parseText(text string) (*Matrix, error) {
	m := &Matrix{}
	lines := strings.Split(text, "\n")
	i := 0
	for ; i < len(lines) && !strings.HasPrefix(lines[i], pipelineRow); i++ {
		name := strings.TrimLeft(lines[i], " |")
		if name == "" {
			return nil, fmt.Errorf("matrix: line %d: want the name of an event", i+1)
		}
		m.Events = append(m.Events, Column{Event: name})
	}
	if i == len(lines) {
		return nil, errors.New("matrix: no row " + pipelineRow)
	}
	for ; i < len(lines) && lines[i] != ""; i++ {
		row, cells, err := parseRow(lines[i])
		if err == nil && len(cells) != len(m.Events) {
			err = fmt.Errorf("%d cells for %d events", len(cells), len(m.Events))
		}
		if err != nil {
			return nil, fmt.Errorf("matrix: line %d: %w", i+1, err)
		}
		if row.Job == pipelineRow {
			for c, cell := range cells {
				m.Events[c].Created = cell == "x"
			}
			continue
		}
		for _, cell := range cells {
			known := slices.IndexFunc(symbols, func(s symbol) bool { return s.text == cell })
			if known < 0 {
				return nil, fmt.Errorf("matrix: line %d: unknown cell %q", i+1, cell)
			}
			row.Cells = append(row.Cells, symbols[known].cell)
		}
		m.Jobs = append(m.Jobs, row)
	}
	for ; i < len(lines); i++ {
		for c := range m.Events {
			column := &m.Events[c]
			if reason, ok := strings.CutPrefix(lines[i], column.Event+": refused, "); ok {
				column.Error = reason
			} else if reason, ok := strings.CutPrefix(lines[i], column.Event+": no pipeline, "); ok {
				column.Reason = reason
			}
		}
	}
	return m, nil
}

// parseRow cuts from the right, since the name of a job may hold anything.
func parseRow(line string) (Row, []string, error) {
	head, cells, ok := cutLast(line, " | ")
	job, stage, ok2 := cutLast(head, " | ")
	if !ok || !ok2 {
		return Row{}, nil, errors.New("want `job | stage | cells`")
	}
	return Row{Job: strings.TrimSpace(job), Stage: strings.TrimSpace(stage)}, strings.Fields(cells), nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Compare returns the differences between two matrices as lines of text: events, then jobs; none if they are equal. Changes of a
// job that are the same on several events are one line.
func Compare(want, got *Matrix) []string {
	var lines []string
	lines = append(lines, compareEvents(want, got)...)
	for _, row := range want.Jobs {
		if other := got.row(row.Job); other == nil {
			lines = append(lines, fmt.Sprintf("- %s: removed, was %s", row.Job, presentOn(want, &row)))
		} else {
			lines = append(lines, compareRows(want, got, &row, other)...)
		}
	}
	for _, row := range got.Jobs {
		if want.row(row.Job) == nil {
			lines = append(lines, fmt.Sprintf("+ %s: new, %s", row.Job, presentOn(got, &row)))
		}
	}
	if len(lines) == 0 && !slices.EqualFunc(want.Jobs, got.Jobs, func(a, b Row) bool { return a.Job == b.Job }) {
		lines = append(lines, "~ the jobs are the same, in a different order")
	}
	return lines
}

func compareEvents(want, got *Matrix) []string {
	var lines []string
	var changes changes
	for _, column := range want.Events {
		i := got.column(column.Event)
		switch {
		case i < 0:
			lines = append(lines, fmt.Sprintf("- event %s: no longer compiled", column.Event))
		case got.Events[i] != column:
			changes.add(column.outcome()+" -> "+got.Events[i].outcome(), column.Event)
		}
	}
	lines = append(lines, changes.lines("~ pipeline: ")...)
	for _, column := range got.Events {
		if want.column(column.Event) < 0 {
			lines = append(lines, fmt.Sprintf("+ event %s: new", column.Event))
		}
	}
	return lines
}

// changes are descriptions in the order in which they were added, each with the events that it is true for.
type changes struct {
	order  []string
	events map[string][]string
}

func (c *changes) add(change, event string) {
	if c.events == nil {
		c.events = map[string][]string{}
	}
	if c.events[change] == nil {
		c.order = append(c.order, change)
	}
	c.events[change] = append(c.events[change], event)
}

func (c *changes) lines(prefix string) []string {
	var lines []string
	for _, change := range c.order {
		lines = append(lines, fmt.Sprintf("%s%s on %s", prefix, change, strings.Join(c.events[change], "; ")))
	}
	return lines
}

func compareRows(want, got *Matrix, a, b *Row) []string {
	var lines []string
	if a.Stage != b.Stage {
		lines = append(lines, fmt.Sprintf("~ %s: stage %s -> %s", a.Job, a.Stage, b.Stage))
	}
	var changes changes
	for i, column := range want.Events {
		j := got.column(column.Event)
		if j < 0 || a.Cells[i] == b.Cells[j] {
			continue
		}
		changes.add(a.Cells[i].String()+" -> "+b.Cells[j].String(), column.Event)
	}
	return append(lines, changes.lines("~ "+a.Job+": ")...)
}

func (m *Matrix) row(job string) *Row {
	for i := range m.Jobs {
		if m.Jobs[i].Job == job {
			return &m.Jobs[i]
		}
	}
	return nil
}

func (m *Matrix) column(event string) int {
	return slices.IndexFunc(m.Events, func(c Column) bool { return c.Event == event })
}

func (c Column) outcome() string {
	switch {
	case c.Error != "":
		return "refused (" + c.Error + ")"
	case c.Created:
		return "a pipeline"
	default:
		return "no pipeline (" + c.Reason + ")"
	}
}

func presentOn(m *Matrix, row *Row) string {
	var present changes
	for i, cell := range row.Cells {
		if cell.Present() {
			present.add(cell.String(), m.Events[i].Event)
		}
	}
	switch {
	case len(present.order) == 0:
		return "no event"
	case len(present.order) == 1 && len(present.events[present.order[0]]) == len(m.Events):
		return present.order[0] + " on every event"
	default:
		return strings.Join(present.lines(""), ", ")
	}
}
