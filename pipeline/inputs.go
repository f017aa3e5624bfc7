package pipeline

import (
	"context"
	"encoding/json"
	"fmt"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/input"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/parsed"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// An Input is an input of a pipeline, as `spec:inputs` of the configuration's file, or of a file of its `spec:include`, declares it, or
// an input of a job ([Job.Inputs]).
type Input struct {
	Name string `json:"name"`
	// Type is "string" (also where none is given), "number", "boolean" or "array".
	Type        string `json:"type"`
	Description string `json:"description,omitzero"`
	// Required inputs have no default; [Event.Inputs] must have them.
	Required bool `json:"required,omitzero"`
	// Default and Options are plain values; nil if not given, or if rules decide on them.
	Default any    `json:"default,omitzero"`
	Options []any  `json:"options,omitzero"`
	Regex   string `json:"regex,omitzero"`
	// Position is where the input is declared.
	Position Position `json:"position,omitzero"`
}

// Parse returns the value that a text stands for: the text itself for a string, and otherwise JSON. Errors are [Errors]: the value does
// not have the input's type, is not one of its options, or does not match its regex.
func (in Input) Parse(text string) (any, error) {
	declared := map[string]any{"type": in.Type}
	if in.Options != nil {
		declared["options"] = in.Options
	}
	if in.Regex != "" {
		declared["regex"] = in.Regex
	}
	spec, err := yamltree.FromAny(declared, yamltree.Position(in.Position))
	if err != nil {
		return nil, err
	}
	c := newChecker(new(parsed.Cache))
	value := input.Value(&c.Checker, input.Declaration{Name: in.Name, Spec: spec}, yamltree.NewString(text, yamltree.Position{}))
	if len(c.Problems) > 0 {
		return nil, errorsOf(c.Problems, nil)
	}
	return value.Any(), nil
}

// InputText returns the text of an input's value in an expression: a string as it is, anything else as JSON.
func InputText(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(text)
}

// newInput returns a declaration as plain data.
func newInput(name, spec *node) Input {
	in := input.Declaration{Name: name.Text, Spec: spec}
	i := Input{
		Name: in.Name, Type: in.Type(), Required: in.Required(), Default: spec.Get("default").Any(),
		Description: spec.Get("description").RubyText(), Regex: spec.Get("regex").RubyText(), Position: at(name),
	}
	if options := spec.Get("options"); options.Is(yamltree.Sequence) {
		i.Options, _ = options.Any().([]any)
	}
	return i
}

// Inputs returns the inputs of a project's pipelines in the order of their declaration. Only the variables of the event count,
// which the paths in `spec:include` can have. Errors are [Errors].
func (p *Project) Inputs(ctx context.Context, event Event) ([]Input, error) {
	name := p.options.ConfigPath
	content, err := p.own.Read(name)
	if err != nil {
		return nil, err
	}
	c := p.compiler(ctx, event)
	f := &file{name: name, content: content, repository: p.own}
	documents, err := c.Parsed.Documents(name, content)
	if err != nil {
		c.syntaxError(f, err)
		return nil, c.errors()
	}
	header, _ := splitHeader(documents)
	if header == nil {
		return nil, nil
	}
	declared, _, ok := c.spec(f, header)
	if !ok {
		return nil, c.errors()
	}
	inputs := make([]Input, len(declared.Pairs))
	for i, pair := range declared.Pairs {
		inputs[i] = newInput(pair.Key, pair.Value)
	}
	return inputs, nil
}
