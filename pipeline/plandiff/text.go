package plandiff

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// Text writes differences as text. What is the same on several events is written once, with the events below it.
func Text(w io.Writer, diffs []Diff, color render.Palette) error {
	out := bufio.NewWriter(w)
	g := group(diffs)
	if len(g.order) == 0 {
		fmt.Fprintf(out, "no difference on %s\n", render.Count(len(diffs), "event"))
		return out.Flush()
	}
	for _, change := range g.order {
		lines := strings.Split(change, "\n")
		switch {
		case strings.HasPrefix(change, "+"):
			lines[0] = color.Green(lines[0])
		case strings.HasPrefix(change, "-"):
			lines[0] = color.Red(lines[0])
		default:
			lines[0] = color.Yellow(lines[0])
		}
		fmt.Fprintln(out, strings.Join(lines, "\n"))
		events := "on every event"
		if on := g.events[change]; len(on) < len(diffs) {
			events = "on " + strings.Join(on, "; ")
		}
		fmt.Fprintln(out, color.Dim("    "+events))
	}
	return out.Flush()
}

// A grouping is changes in the order in which events first show them, with those events.
type grouping struct {
	order  []string
	events map[string][]string
}

func group(diffs []Diff) grouping {
	g := grouping{events: map[string][]string{}}
	add := func(event, change string) {
		if g.events[change] == nil {
			g.order = append(g.order, change)
		}
		g.events[change] = append(g.events[change], event)
	}
	for _, d := range diffs {
		if d.Before != d.After {
			add(d.Event, fmt.Sprintf("~ pipeline: %s -> %s", d.Before, d.After))
		}
		for _, k := range d.Pipeline {
			add(d.Event, describe("~ pipeline: ", k))
		}
		// A pipeline that comes or goes as a whole has told enough.
		if d.Before == d.After {
			for _, name := range d.Removed {
				add(d.Event, "- "+name)
			}
			for _, name := range d.Added {
				add(d.Event, "+ "+name)
			}
		}
		for _, job := range d.Changed {
			for _, k := range job.Keywords {
				add(d.Event, describe("~ "+job.Job+": ", k))
			}
		}
	}
	return g
}

// describe says how a keyword differs: on one line if that is short, else item by item.
func describe(prefix string, k Keyword) string {
	const short = 80
	before, after := show(k.Before), show(k.After)
	line := fmt.Sprintf("%s%s: %s -> %s", prefix, k.Keyword, before, after)
	if utf8.RuneCountInString(line) <= short {
		return line
	}
	lines := []string{prefix + k.Keyword}
	a, b := parts(k.Before), parts(k.After)
	for _, part := range a {
		if !slices.Contains(b, part) {
			lines = append(lines, "    - "+part)
		}
	}
	for _, part := range b {
		if !slices.Contains(a, part) {
			lines = append(lines, "    + "+part)
		}
	}
	if len(lines) == 1 {
		lines[0] += ": the same items in a different order"
	}
	return strings.Join(lines, "\n")
}

func show(v any) string {
	if v == nil {
		return "(none)"
	}
	return string(encoded(v))
}

// parts are the items of a list, the entries of a mapping, the lines of a text.
func parts(v any) []string {
	var out []string
	switch v := v.(type) {
	case nil:
	case []any:
		for _, item := range v {
			if text, ok := item.(string); ok {
				out = append(out, strings.Split(strings.TrimSuffix(text, "\n"), "\n")...)
			} else {
				out = append(out, show(item))
			}
		}
	case map[string]any:
		for key, item := range v {
			out = append(out, key+": "+show(item))
		}
		slices.Sort(out)
	default:
		out = append(out, show(v))
	}
	return out
}
