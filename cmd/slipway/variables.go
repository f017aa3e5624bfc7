package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

const variableForms = "want a list of {key, value, masked, protected, file, raw, environment_scope}, a map of keys to values, " +
	"the JSON of GitLab's API, or lines KEY=VALUE"

// readVariables reads a file of project variables in any of the forms that people have them in.
func readVariables(path string) ([]pipeline.Variable, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read variables: %w", err)
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	var variables []pipeline.Variable
	switch trimmed := bytes.TrimSpace(data); {
	case len(trimmed) == 0:
		return nil, nil
	case isDotenv(path, trimmed):
		variables, err = parseDotenv(path, data)
	case trimmed[0] == '[' && json.Valid(trimmed):
		variables, err = parseAPIVariables(trimmed)
		if err != nil {
			err = fmt.Errorf("%s: %w; %s", path, err, variableForms)
		}
	default:
		variables, err = parseYAMLVariables(path, data)
	}
	if err != nil {
		return nil, err
	}
	for i, v := range variables {
		if v.Key == "" {
			return nil, fmt.Errorf("%s: item %d has no key", path, i+1)
		}
	}
	return variables, nil
}

// dotenvLine is `KEY=VALUE`, as shells and GitLab's dotenv reports have it.
var dotenvLine = regexp.MustCompile(`^(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)$`)

// isDotenv reports whether a file is one of lines KEY=VALUE: by its name, or because its first line is one.
func isDotenv(path string, data []byte) bool {
	if slices.Contains([]string{".yml", ".yaml", ".json"}, strings.ToLower(filepath.Ext(path))) {
		return false
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return dotenvLine.MatchString(line)
		}
	}
	return false
}

// parseDotenv reads lines KEY=VALUE. Quotes around a value are left out; in double quotes \n, \" and \\ are read.
func parseDotenv(path string, data []byte) ([]pipeline.Variable, error) {
	var variables []pipeline.Variable
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := dotenvLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("%s:%d: want KEY=VALUE", path, number)
		}
		value := m[2]
		if n := len(value); n > 1 && value[0] == value[n-1] && (value[0] == '"' || value[0] == '\'') {
			quoted := value[0] == '"'
			if value = value[1 : n-1]; quoted {
				value = strings.NewReplacer(`\n`, "\n", `\"`, `"`, `\\`, `\`).Replace(value)
			}
		}
		variables = append(variables, pipeline.Variable{Key: m[1], Value: value})
	}
	return variables, nil
}

// An apiVariable is a CI/CD variable as GitLab's API has it
// (https://docs.gitlab.com/api/project_level_variables/).
type apiVariable struct {
	Key          string  `json:"key"`
	Value        *string `json:"value"`
	VariableType string  `json:"variable_type"`
	Protected    bool    `json:"protected"`
	Masked       bool    `json:"masked"`
	Hidden       bool    `json:"hidden"`
	Raw          bool    `json:"raw"`
	File         bool    `json:"file"`
	Scope        string  `json:"environment_scope"`
}

func parseAPIVariables(data []byte) ([]pipeline.Variable, error) {
	var list []apiVariable
	if err := json.Unmarshal(data, &list); err != nil {
		return nil, errors.New("the JSON is not a list of variables")
	}
	variables := make([]pipeline.Variable, len(list))
	for i, v := range list {
		variables[i] = v.variable()
	}
	return variables, nil
}

func (v apiVariable) variable() pipeline.Variable {
	value := ""
	if v.Value != nil { // null: hidden, nobody can read it
		value = *v.Value
	}
	return pipeline.Variable{
		Key: v.Key, Value: value, Raw: v.Raw, File: v.File || v.VariableType == "file", Masked: v.Masked || v.Hidden, Protected: v.Protected,
		EnvironmentScope: v.Scope,
	}
}

// parseYAMLVariables reads a list of variables, in which an unknown key is an error, or a map of keys to values.
func parseYAMLVariables(path string, data []byte) ([]pipeline.Variable, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return nil, fmt.Errorf("%s%s; %s", path, yamlErrorText(err), variableForms)
	}
	if len(document.Content) == 1 && document.Content[0].Kind == yaml.MappingNode {
		return parseVariableMap(path, document.Content[0])
	}
	var variables []pipeline.Variable
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&variables); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s%s; %s", path, yamlErrorText(err), variableForms)
	}
	return variables, nil
}

// parseVariableMap reads `KEY: value` and `KEY: {value: ..., masked: true}`.
func parseVariableMap(path string, n *yaml.Node) ([]pipeline.Variable, error) {
	var variables []pipeline.Variable
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		for value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		v := pipeline.Variable{}
		switch value.Kind {
		case yaml.ScalarNode:
			if value.ShortTag() != "!!null" {
				v.Value = value.Value
			}
		case yaml.MappingNode:
			if err := value.Decode(&v); err != nil {
				return nil, fmt.Errorf("%s%s; %s", path, yamlErrorText(err), variableForms)
			}
		default:
			return nil, fmt.Errorf("%s:%d: the value of %s is a list; %s", path, value.Line, key.Value, variableForms)
		}
		v.Key = key.Value
		variables = append(variables, v)
	}
	return variables, nil
}

// yamlErrorText returns the line and the text of the first problem of a YAML file, without Go type names.
func yamlErrorText(err error) string {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return ": " + err.Error()
	}
	message := load.Message
	if field, _, ok := strings.Cut(strings.TrimPrefix(message, "field "), " not found in type "); ok {
		message = "unknown key " + field
	} else if _, goType, ok := strings.Cut(message, " into "); ok && strings.HasPrefix(message, "cannot construct ") {
		switch {
		case strings.HasPrefix(goType, "[]"):
			message = "expected a list"
		case goType == "bool":
			message = "expected true or false"
		case goType == "string":
			message = "expected a string"
		default:
			message = "expected a mapping"
		}
	}
	return fmt.Sprintf(":%d: %s", load.Mark.Line, message)
}
