package render

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// Why writes which rule let a job in or kept it out, for each job of that name (a matrix job has several), with the rules
// that were looked at and the variables that they asked for. It reports whether there is such a job; where there is no
// pipeline at all, no job was looked at, and that is the answer for any name.
func Why(w io.Writer, plan *pipeline.Plan, config *pipeline.Config, name string, color Palette) (found bool, err error) {
	out := bufio.NewWriter(w)
	label := EventLabel(plan.Event)
	for _, job := range plan.Jobs {
		if job.Name != name && job.BaseName != name {
			continue
		}
		if found {
			fmt.Fprintln(out)
		}
		found = true
		fmt.Fprintf(out, "%s is %s of: %s\n", color.Bold(job.Name), color.Green("part"), label)
		because(out, plan, config, job, color)
		if traits := Traits(job); traits != "" {
			fmt.Fprintf(out, "  starts    %s\n", traits)
		}
		fmt.Fprintf(out, "  waits     %s\n", waitsFor(plan, job))
	}
	for _, job := range plan.Dropped {
		if found || job.Name != name && job.BaseName != name {
			continue
		}
		found = true
		fmt.Fprintf(out, "%s is %s of: %s\n", color.Bold(name), color.Yellow("not part"), label)
		because(out, plan, config, job, color)
	}
	switch {
	case plan.Created:
	case found:
		fmt.Fprintf(out, "  pipeline  none, %s\n", NotCreated(plan.Reason))
	case config.Root.Has(name):
		found = true
		fmt.Fprintf(out, "%s is %s of: %s\n", color.Bold(name), color.Yellow("not part"), label)
		fmt.Fprintf(out, "  because   there is no pipeline: %s\n", plan.Decision.Text)
		rules(out, plan, nil, config.Root.Get("workflow").Get("rules"), plan.Decision.Rule, color)
	}
	return found, out.Flush()
}

func because(w io.Writer, plan *pipeline.Plan, config *pipeline.Config, job *pipeline.Job, color Palette) {
	fmt.Fprintf(w, "  because   %s\n", job.Decision.Text)
	if at := Place(job.Decision.Position); at != "" {
		fmt.Fprintf(w, "  decided   %s\n", at)
	}
	if at := Place(job.Source); at != "" {
		fmt.Fprintf(w, "  defined   %s\n", at)
	}
	rules(w, plan, job, config.Root.Get(job.BaseName).Get("rules"), job.Decision.Rule, color)
}

// rules lists rules with whether they matched, and the variables that their conditions ask for. The rules after the one
// that matched were not looked at.
func rules(w io.Writer, plan *pipeline.Plan, job *pipeline.Job, list *pipeline.Node, matched int, color Palette) {
	for i, rule := range list.Flatten() {
		state := "no "
		switch {
		case i == matched:
			state = color.Green("yes")
		case matched >= 0 && i > matched:
			state = color.Dim("-  ")
		}
		fmt.Fprintf(w, "  rules[%d]  %s  %s  %s\n", i, state, condition(rule), color.Dim(place(rule.Position)))
		if matched >= 0 && i > matched {
			continue
		}
		for _, name := range asked(rule.Get("if")) {
			text := "$" + name + " is not set"
			if value, ok := lookup(plan, job, name); ok {
				text = fmt.Sprintf("$%s is %q", name, value)
			}
			fmt.Fprintf(w, "                 %s\n", color.Dim(text))
		}
	}
}

// condition says on one line what a rule asks for.
func condition(rule *pipeline.Node) string {
	var parts []string
	for _, key := range []string{"if", "changes", "exists", "when"} {
		switch n := rule.Get(key); {
		case n.IsNull():
		case n.IsScalar():
			parts = append(parts, key+" "+strings.Join(strings.Fields(n.Text), " "))
		default:
			parts = append(parts, key+" "+flow(n))
		}
	}
	if len(parts) == 0 {
		return "always"
	}
	return strings.Join(parts, ", ")
}

// flow writes a value on one line.
func flow(n *pipeline.Node) string {
	switch {
	case n.Is(yamltree.Sequence):
		items := make([]string, len(n.Items))
		for i, item := range n.Items {
			items[i] = flow(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case n.Is(yamltree.Mapping):
		items := make([]string, len(n.Pairs))
		for i, pair := range n.Pairs {
			items[i] = pair.Key.Text + ": " + flow(pair.Value)
		}
		return "{" + strings.Join(items, ", ") + "}"
	default:
		return n.Text
	}
}

var variable = lazyregexp.New(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// asked are the variables of a condition, each once.
func asked(condition *pipeline.Node) []string {
	if condition.IsNull() {
		return nil
	}
	var names []string
	for _, match := range variable().FindAllStringSubmatch(condition.Text, -1) {
		if !slices.Contains(names, match[1]) {
			names = append(names, match[1])
		}
	}
	return names
}

// lookup finds a variable by GitLab's precedence.
func lookup(plan *pipeline.Plan, job *pipeline.Job, name string) (string, bool) {
	var yaml []pipeline.Variable
	if job != nil {
		yaml = job.Variables
	}
	for _, layer := range [][]pipeline.Variable{plan.Run, plan.Project, yaml, plan.Predefined} {
		for _, v := range slices.Backward(layer) {
			if v.Key == name {
				return v.Value, true
			}
		}
	}
	return "", false
}

// Place writes a position as "file:line"; empty if it is not known.
func Place(p pipeline.Position) string {
	switch {
	case p.File == "":
		return ""
	case p.Line == 0:
		return p.File
	default:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
}
