package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/input"
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

// Parse returns the value that a text stands for: the text itself for a string, and otherwise JSON. It is an error if the value does
// not have the input's type, is not one of its options, or does not match its regex.
func (in Input) Parse(text string) (any, error) {
	var value any = text
	if in.Type != "string" {
		if err := json.Unmarshal([]byte(text), &value); err != nil || !in.accepts(value) {
			return nil, fmt.Errorf("the input %s should be %s, not %q", in.Name, input.WithArticle(in.Type), text)
		}
	}
	if len(in.Options) > 0 && !slices.ContainsFunc(in.Options, func(o any) bool { return InputText(o) == InputText(value) }) {
		options := make([]string, len(in.Options))
		for i, o := range in.Options {
			options[i] = InputText(o)
		}
		return nil, fmt.Errorf("the input %s should be one of %s, not %q", in.Name, strings.Join(options, ", "), text)
	}
	if in.Regex != "" {
		re, err := regexp.Compile(in.Regex)
		if err != nil {
			return nil, fmt.Errorf("the regex of the input %s: %w", in.Name, err)
		}
		if !re.MatchString(text) {
			return nil, fmt.Errorf("the input %s should match %s, not %q", in.Name, in.Regex, text)
		}
	}
	return value, nil
}

// accepts reports whether a value that was JSON has the input's type.
func (in Input) accepts(value any) bool {
	switch value.(type) {
	case float64:
		return in.Type == "number"
	case bool:
		return in.Type == "boolean"
	case []any:
		return in.Type == "array"
	default:
		return false
	}
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
