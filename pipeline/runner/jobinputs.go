package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
)

// setInputs sets the inputs of jobs. Every job must have all of them, as on GitLab.
func setInputs(nodes []*node, values map[string]string) error {
	for _, n := range nodes {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			i := slices.IndexFunc(n.job.Inputs, func(in pipeline.Input) bool { return in.Name == name })
			if i < 0 {
				names := make([]string, len(n.job.Inputs))
				for j, in := range n.job.Inputs {
					names[j] = in.Name
				}
				if len(names) == 0 {
					return fmt.Errorf("%s has no inputs, so %s cannot be set", n.state.Name, name)
				}
				return fmt.Errorf("%s has no input %s; its inputs: %s", n.state.Name, name, strings.Join(names, ", "))
			}
			if _, err := n.job.Inputs[i].Parse(values[name]); err != nil {
				return fmt.Errorf("%s: %w", n.state.Name, err)
			}
			if n.state.Inputs == nil {
				n.state.Inputs = map[string]string{}
			}
			n.state.Inputs[name] = values[name]
		}
	}
	return nil
}

// expressions matches `${{ }}`, and inputReference the supported content.
var (
	expressions    = lazyregexp.New(`\$\{\{(.*?)\}\}`)
	inputReference = lazyregexp.New(`^\s*job\.inputs\.([A-Za-z_][A-Za-z0-9_-]*)\s*$`)
)

// expandInputs replaces `${{ job.inputs.NAME }}` with the values of the job's inputs, in the keywords in which GitLab's runner does. It
// does so once, before the first attempt.
func (n *node) expandInputs() {
	if len(n.job.Inputs) == 0 || n.expanded {
		return
	}
	n.expanded = true
	values := map[string]string{}
	for _, in := range n.job.Inputs {
		values[in.Name] = pipeline.InputText(in.Default)
		if text, ok := n.state.Inputs[in.Name]; ok {
			values[in.Name] = text
		}
	}
	e := inputExpander{values: values}
	job := *n.job
	job.BeforeScript, job.Script, job.AfterScript = e.list(job.BeforeScript), e.list(job.Script), e.list(job.AfterScript)
	if job.Image != nil {
		image := e.image(*job.Image)
		job.Image = &image
	}
	job.Services = slices.Clone(job.Services)
	for i := range job.Services {
		job.Services[i] = e.image(job.Services[i])
	}
	if job.Artifacts != nil {
		artifacts := *job.Artifacts
		artifacts.Name, artifacts.Paths, artifacts.Exclude = e.text(artifacts.Name), e.list(artifacts.Paths), e.list(artifacts.Exclude)
		job.Artifacts = &artifacts
	}
	job.Cache = slices.Clone(job.Cache)
	for i, c := range job.Cache {
		job.Cache[i].Key, job.Cache[i].Paths, job.Cache[i].Policy = e.text(c.Key), e.list(c.Paths), e.text(c.Policy)
	}
	n.job, n.unknownExpression = &job, e.err
}

// An inputExpander replaces expressions; err is the error of the first unknown one.
type inputExpander struct {
	values map[string]string
	err    error
}

func (e *inputExpander) text(text string) string {
	if !strings.Contains(text, "${{") {
		return text
	}
	return expressions().ReplaceAllStringFunc(text, func(expression string) string {
		inner := expression[len("${{") : len(expression)-len("}}")]
		m := inputReference().FindStringSubmatch(inner)
		if m == nil {
			e.fail("the expression %s is not supported here: only ${{ job.inputs.NAME }} is", expression)
			return expression
		}
		value, ok := e.values[m[1]]
		if !ok {
			e.fail("%s: the job has no input %s", expression, m[1])
			return expression
		}
		return value
	})
}

func (e *inputExpander) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format, args...)
	}
}

func (e *inputExpander) list(texts []string) []string {
	out := slices.Clone(texts)
	for i := range out {
		out[i] = e.text(out[i])
	}
	return out
}

func (e *inputExpander) image(i pipeline.Image) pipeline.Image {
	i.Name, i.Alias, i.Entrypoint, i.Command = e.text(i.Name), e.text(i.Alias), e.list(i.Entrypoint), e.list(i.Command)
	return i
}
