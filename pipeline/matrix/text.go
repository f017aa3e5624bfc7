package matrix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// A symbol is a cell of the text form.
type symbol struct {
	cell   Cell
	text   string
	legend string
}

var symbols = []symbol{
	{Cell{}, ".", "not there"},
	{Cell{When: pipeline.OnSuccess}, "x", "runs"},
	{Cell{When: pipeline.OnSuccess, AllowFailure: true}, "x?", "runs, may fail"},
	{Cell{When: pipeline.Always}, "a", "runs always"},
	{Cell{When: pipeline.Always, AllowFailure: true}, "a?", "runs always, may fail"},
	{Cell{When: pipeline.OnFailure}, "f", "runs after a failure"},
	{Cell{When: pipeline.OnFailure, AllowFailure: true}, "f?", "runs after a failure, may fail"},
	{Cell{When: pipeline.Delayed}, "d", "delayed"},
	{Cell{When: pipeline.Delayed, AllowFailure: true}, "d?", "delayed, may fail"},
	{Cell{When: pipeline.Manual}, "M", "manual, blocks the pipeline"},
	{Cell{When: pipeline.Manual, AllowFailure: true}, "m", "manual"},
}

const (
	pipelineRow = "(pipeline)"
	cellWidth   = 3
)

// Text writes the matrix as a table whose header is a staircase: each event's name stands above its column.
func (m *Matrix) Text() string {
	var b strings.Builder
	jobWidth, stageWidth := len(pipelineRow), 0
	for _, row := range m.Jobs {
		jobWidth = max(jobWidth, utf8.RuneCountInString(row.Job))
		stageWidth = max(stageWidth, utf8.RuneCountInString(row.Stage))
	}
	indent := strings.Repeat(" ", jobWidth+stageWidth+len(" |  | "))
	for i, column := range m.Events {
		fmt.Fprintf(&b, "%s%s%s\n", indent, strings.Repeat(render.Pad("|", cellWidth), i), column.Event)
	}
	line := func(job, stage string, cells []string) {
		text := render.Pad(job, jobWidth) + " | " + render.Pad(stage, stageWidth) + " | "
		for _, cell := range cells {
			text += render.Pad(cell, cellWidth)
		}
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	cells := make([]string, len(m.Events))
	for i, column := range m.Events {
		cells[i] = column.symbol()
	}
	line(pipelineRow, "", cells)
	used := map[string]bool{}
	for _, row := range m.Jobs {
		for i, cell := range row.Cells {
			cells[i] = cell.symbol()
			used[cells[i]] = true
		}
		line(row.Job, row.Stage, cells)
	}
	var legend []string
	for _, s := range symbols {
		if used[s.text] {
			legend = append(legend, s.text+" "+s.legend)
		}
	}
	b.WriteString("\n" + strings.Join(legend, ", ") + "\n")
	for _, column := range m.Events {
		switch {
		case column.Error != "":
			fmt.Fprintf(&b, "%s: refused, %s\n", column.Event, column.Error)
		case !column.Created:
			fmt.Fprintf(&b, "%s: no pipeline, %s\n", column.Event, column.Reason)
		}
	}
	return b.String()
}

// Markdown writes the matrix as a Markdown table.
func (m *Matrix) Markdown() string {
	var b strings.Builder
	line := func(cells ...string) {
		b.WriteString("|")
		for _, cell := range cells {
			b.WriteString(" " + strings.ReplaceAll(cell, "|", `\|`) + " |")
		}
		b.WriteString("\n")
	}
	header, rule, first := []string{"job", "stage"}, []string{"---", "---"}, []string{pipelineRow, ""}
	for _, column := range m.Events {
		header, rule = append(header, column.Event), append(rule, ":-:")
		switch {
		case column.Error != "":
			first = append(first, "refused: "+column.Error)
		case !column.Created:
			first = append(first, "none: "+column.Reason)
		default:
			first = append(first, "yes")
		}
	}
	line(header...)
	line(rule...)
	line(first...)
	for _, row := range m.Jobs {
		cells := []string{row.Job, row.Stage}
		for _, cell := range row.Cells {
			if cell.Present() {
				cells = append(cells, cell.String())
			} else {
				cells = append(cells, "")
			}
		}
		line(cells...)
	}
	return b.String()
}

// JSON writes the matrix as JSON.
func (m *Matrix) JSON() string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	// A Matrix is strings and booleans: encoding it cannot fail.
	_ = e.Encode(m)
	return b.String()
}

func (c Cell) symbol() string {
	i := slices.IndexFunc(symbols, func(s symbol) bool { return s.cell == c })
	if i < 0 {
		return "?"
	}
	return symbols[i].text
}

func (c Column) symbol() string {
	switch {
	case c.Error != "":
		return "!"
	case c.Created:
		return "x"
	default:
		return "."
	}
}
