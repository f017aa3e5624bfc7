package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A stage is one file of ci/: what it is for, what it can be given, and what its jobs promise.
type stage struct {
	// name is the file's, without its ending.
	name string
	// intro is the comment at the top of the file, as one paragraph, without its last lines, which are the requirements.
	intro string
	requirements
	// spec is the text of the header, up to the line of three dashes.
	spec   string
	inputs []input
	jobs   []job
}

// requirements are what the jobs of a stage take: executors and privileges of the runner, version and tier of GitLab, and what the jobs
// reach over the network. The comment at the top of a stage's file has a line for each.
type requirements struct{ runner, gitlab, reaches string }

// cutRequirements takes these lines from a comment and returns what is left of it.
func cutRequirements(comment string) (requirements, string, error) {
	var r requirements
	var rest strings.Builder
	for line := range strings.Lines(comment) {
		key, value, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "#")), ": ")
		switch key {
		case "Runner":
			r.runner = value
		case "GitLab":
			r.gitlab = value
		case "Reaches":
			r.reaches = value
		default:
			rest.WriteString(line)
		}
	}
	if r.runner == "" || r.gitlab == "" || r.reaches == "" {
		return r, "", errors.New("the comment at the top has no lines that begin with `Runner:`, `GitLab:` and `Reaches:`: what the jobs need")
	}
	return r, rest.String(), nil
}

type input struct {
	name, kind, description, standard, limits string
}

type job struct{ name, promise string }

// readStage reads a file of ci/. A file without inputs, or a visible job without a promise, is an error: both are what the
// pages are made of.
func readStage(path string) (*stage, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	head, _, ok := bytes.Cut(data, []byte("\n---\n"))
	if !ok {
		return nil, fmt.Errorf("%s: no header with spec:inputs, or no line of three dashes after it", path)
	}
	at := bytes.Index(head, []byte("spec:\n"))
	if at < 0 {
		return nil, fmt.Errorf("%s: the header has no spec", path)
	}
	s := &stage{name: strings.TrimSuffix(filepath.Base(path), ".yml"), spec: string(head[at:]) + "\n"}
	var comment string
	if s.requirements, comment, err = cutRequirements(string(head[:at])); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.intro = paragraph(comment)

	decoder := yaml.NewDecoder(bytes.NewReader(data))
	if s.inputs, err = decodeInputs(decoder, path); err != nil {
		return nil, err
	}
	var body yaml.Node
	if err := decoder.Decode(&body); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(body.Content) == 0 {
		return nil, fmt.Errorf("%s: nothing after the header", path)
	}
	content := body.Content[0].Content
	for i := 0; i+1 < len(content); i += 2 {
		key := content[i]
		if strings.HasPrefix(key.Value, ".") || key.Value == "workflow" {
			continue
		}
		promise := paragraph(key.HeadComment)
		if i == 0 && promise == "" {
			promise = paragraph(body.HeadComment)
		}
		if !strings.HasPrefix(promise, "Promises: ") {
			return nil, fmt.Errorf("%s:%d: %s has no comment that says what it promises and what makes it red", path, key.Line, key.Value)
		}
		s.jobs = append(s.jobs, job{defaults(key.Value, s.inputs), strings.TrimPrefix(promise, "Promises: ")})
	}
	return s, nil
}

// readInputs reads only the inputs of a file.
func readInputs(path string) ([]input, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return decodeInputs(yaml.NewDecoder(bytes.NewReader(data)), path)
}

func decodeInputs(decoder *yaml.Decoder, path string) ([]input, error) {
	var header struct {
		Spec struct{ Inputs yaml.Node }
	}
	if err := decoder.Decode(&header); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var inputs []input
	nodes := header.Spec.Inputs.Content
	for i := 0; i+1 < len(nodes); i += 2 {
		in, err := readInput(nodes[i].Value, nodes[i+1])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, nodes[i].Line, err)
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

func readInput(name string, n *yaml.Node) (input, error) {
	var raw struct {
		Description string
		Type        string
		Default     yaml.Node
		Options     []yaml.Node
		Regex       string
	}
	if err := n.Decode(&raw); err != nil {
		return input{}, err
	}
	if raw.Description == "" {
		return input{}, fmt.Errorf("the input %s has no description", name)
	}
	if raw.Default.Kind == 0 {
		return input{}, fmt.Errorf("the input %s has no default: a new one would break everybody who includes this file", name)
	}
	in := input{name: name, kind: raw.Type, description: strings.TrimSpace(raw.Description), standard: flow(&raw.Default)}
	if in.kind == "" {
		in.kind = "string"
	}
	var options []string
	for _, o := range raw.Options {
		options = append(options, "`"+o.Value+"`")
	}
	switch {
	case options != nil:
		in.limits = "one of " + strings.Join(options, ", ")
	case raw.Regex != "":
		in.limits = "matches `" + strings.ReplaceAll(raw.Regex, "|", `\|`) + "`"
	}
	return in, nil
}

// flow writes a value in one line, as a person would give it.
func flow(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		items := make([]string, len(n.Content))
		for i, c := range n.Content {
			items[i] = flow(c)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case yaml.MappingNode:
		var items []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			items = append(items, n.Content[i].Value+": "+flow(n.Content[i+1]))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	if n.Value == "" {
		return `""`
	}
	return n.Value
}

// defaults is a job's name with every input left as it is.
func defaults(name string, inputs []input) string {
	for _, in := range inputs {
		name = strings.ReplaceAll(name, "$[[ inputs."+in.name+" ]]", strings.Trim(in.standard, `"`))
	}
	return name
}

// paragraph joins the lines of a comment.
func paragraph(comment string) string {
	var words []string
	for line := range strings.Lines(comment) {
		words = append(words, strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "#"))...)
	}
	return strings.Join(words, " ")
}
