package pipeline

import (
	"context"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// An Input is an input of a pipeline, as `spec:inputs` of the configuration's file, or of a file of its `spec:include`, declares it.
type Input struct {
	Name string
	// Type is "string" (also where none is given), "number", "boolean" or "array".
	Type        string
	Description string
	// Required inputs have no default; [Event.Inputs] must have them.
	Required bool
	// Default and Options are plain values; nil if not given, or if rules decide on them.
	Default any
	Options []any
	Regex   string
	// Position is where the input is declared.
	Position Position
}

// Inputs returns the inputs of a project's pipelines in the order of their declaration. Of the event only the variables count,
// which the paths in `spec:include` can have. Errors are [Errors].
func (p *Project) Inputs(ctx context.Context, event Event) ([]Input, error) {
	name := p.options.ConfigPath
	content, err := p.own.read(name)
	if err != nil {
		return nil, err
	}
	c := p.compiler(ctx, event)
	f := &file{name: name, content: content, repository: p.own}
	documents, err := c.cache.parse(name, content)
	if err != nil {
		c.syntaxError(f, err)
		return nil, c.errors
	}
	header, _ := splitHeader(documents)
	if header == nil {
		return nil, nil
	}
	declared, _, ok := c.spec(f, header)
	if !ok {
		return nil, c.errors
	}
	inputs := make([]Input, len(declared.Pairs))
	for i, pair := range declared.Pairs {
		in := declaredInput{name: pair.Key.Text, spec: pair.Value}
		inputs[i] = Input{
			Name: in.name, Type: in.kind(), Required: in.required(), Default: pair.Value.Get("default").Any(),
			Description: pair.Value.Get("description").RubyText(), Regex: pair.Value.Get("regex").RubyText(), Position: at(pair.Key),
		}
		if options := pair.Value.Get("options"); options.Is(yamltree.Sequence) {
			inputs[i].Options, _ = options.Any().([]any)
		}
	}
	return inputs, nil
}
