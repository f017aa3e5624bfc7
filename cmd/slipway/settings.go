package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
)

// settingsFile has defaults of flags, in the project's folder.
const settingsFile = ".slipway.yml"

// sourceAnnotation is the key of a flag's annotation that holds where its value comes from, if that is not the command line.
const sourceAnnotation = "slipway_source"

// notSettings are flags that have no default from elsewhere.
var notSettings = []string{"help", "version", "directory"}

// applySettings finds the project and sets the flags that are not given: those of variables SLIPWAY_*, then those of
// .slipway.yml.
func applySettings(cmd *cobra.Command) error {
	root, err := applyProject(cmd)
	if err != nil {
		return err
	}
	file, err := readSettingsFile(root)
	if err != nil {
		return err
	}
	var failed error
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if failed != nil || flag.Changed || slices.Contains(notSettings, flag.Name) || isExcluded(cmd, flag) {
			return
		}
		name := environmentName(flag.Name)
		if value := os.Getenv(name); value != "" {
			failed = setFlag(flag, name, "", &yaml.Node{Kind: yaml.ScalarNode, Value: value})
			return
		}
		if value := file.value(cmd.Name(), flag.Name); value != nil {
			failed = setFlag(flag, fmt.Sprintf("%s:%d", settingsFile, value.Line), root, value)
		}
	})
	return failed
}

// environmentName is the variable with the default of a flag.
func environmentName(flag string) string {
	return "SLIPWAY_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// isExcluded reports whether a flag cannot be used with another one that was set.
func isExcluded(cmd *cobra.Command, flag *pflag.Flag) bool {
	for _, group := range flag.Annotations["cobra_annotation_mutually_exclusive"] {
		for other := range strings.FieldsSeq(group) {
			if f := cmd.Flags().Lookup(other); other != flag.Name && f != nil && f.Changed {
				return true
			}
		}
	}
	return false
}

// applyProject points the flag --directory, where a command has it, at the project's folder, and returns the folder with the
// settings.
func applyProject(cmd *cobra.Command) (string, error) {
	flag := cmd.Flags().Lookup("directory")
	if flag == nil {
		return projectFolder(".", ".gitlab-ci.yml", false), nil
	}
	explicit := flag.Changed
	if value := os.Getenv(environmentName("directory")); value != "" && !explicit {
		explicit = true
		if err := flag.Value.Set(value); err != nil {
			return "", err
		}
	}
	config := ".gitlab-ci.yml"
	if f := cmd.Flags().Lookup("config"); f != nil && f.Changed {
		config = f.Value.String()
	}
	dir := flag.Value.String()
	root := projectFolder(dir, config, explicit)
	if root == dir {
		return root, nil
	}
	if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(config))); err == nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "slipway: the project is %s, the top of the repository; -C %s reads %s here\n", root, dir, config)
	}
	return root, flag.Value.Set(root)
}

// projectFolder finds the project that a folder belongs to, as git and make do: the folder itself, if it was named and has the
// configuration; otherwise the top of its repository, or the nearest folder on the way there that has it. Without any it is
// the folder.
func projectFolder(dir, config string, named bool) string {
	has := func(dir, name string) bool {
		_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name)))
		return err == nil
	}
	if named && has(dir, config) {
		return dir
	}
	start, err := filepath.Abs(dir)
	if err != nil {
		return dir
	}
	found, top := "", ""
	for current := start; ; current = filepath.Dir(current) {
		if found == "" && has(current, config) {
			found = current
		}
		if has(current, ".git") {
			top = current
			break
		}
		if current == filepath.Dir(current) {
			break
		}
	}
	switch {
	case top == "" || found == "":
		return dir
	case has(top, config):
		found = top
	}
	if found == start {
		return dir
	}
	if working, err := os.Getwd(); err == nil {
		if relative, err := filepath.Rel(working, found); err == nil && !filepath.IsAbs(dir) {
			return relative
		}
	}
	return found
}

// A settingsFileContent is a .slipway.yml: keys are flags, for all commands that have them, or commands with flags of theirs.
type settingsFileContent struct{ root *yaml.Node }

// readSettingsFile reads a project's .slipway.yml; the settings are empty if it does not exist.
func readSettingsFile(dir string) (settingsFileContent, error) {
	data, err := os.ReadFile(filepath.Join(dir, settingsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return settingsFileContent{}, nil
	}
	if err != nil {
		return settingsFileContent{}, err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return settingsFileContent{}, fmt.Errorf("%s%s", settingsFile, yamlErrorText(err))
	}
	if len(document.Content) == 0 || document.Content[0].ShortTag() == "!!null" {
		return settingsFileContent{}, nil
	}
	content := settingsFileContent{document.Content[0]}
	if content.root.Kind != yaml.MappingNode {
		return content, fmt.Errorf("%s:%d: want a map of flags to values", settingsFile, content.root.Line)
	}
	return content, content.check()
}

// check finds keys that no command knows.
func (s settingsFileContent) check() error {
	root := newRoot("")
	flags := map[string][]string{} // by command
	var commands, all []string
	for _, cmd := range root.Commands() {
		commands = append(commands, cmd.Name())
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			flags[cmd.Name()] = append(flags[cmd.Name()], f.Name)
			all = append(all, f.Name)
		})
	}
	unknown := func(n *yaml.Node, known []string) error {
		hint := ""
		if near := spelling.Closest(n.Value, known); near != "" {
			hint = fmt.Sprintf("; did you mean %q?", near)
		}
		return fmt.Errorf("%s:%d: no flag or command %q%s", settingsFile, n.Line, n.Value, hint)
	}
	for i := 0; i+1 < len(s.root.Content); i += 2 {
		key, value := s.root.Content[i], s.root.Content[i+1]
		switch {
		case slices.Contains(commands, key.Value) && value.Kind == yaml.MappingNode:
			if key.Value == "lint" {
				continue // its section has other settings, which lint checks
			}
			for j := 0; j+1 < len(value.Content); j += 2 {
				if !slices.Contains(flags[key.Value], value.Content[j].Value) {
					return unknown(value.Content[j], flags[key.Value])
				}
			}
		case !slices.Contains(all, key.Value):
			return unknown(key, append(all, commands...))
		}
	}
	return nil
}

// value is what the file says about a flag of a command; nil if nothing.
func (s settingsFileContent) value(command, flag string) *yaml.Node {
	if section := member(s.root, command); section != nil && section.Kind == yaml.MappingNode {
		if value := member(section, flag); value != nil {
			return value
		}
	}
	value := member(s.root, flag)
	if value != nil && value.Kind == yaml.MappingNode && slices.Contains(commandNames(), flag) {
		return nil // the section of a command with the name of a flag
	}
	return value
}

func member(n *yaml.Node, key string) *yaml.Node {
	if n == nil {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// setFlag returns a flag a value: a scalar, a list, or a map of which each item is KEY=VALUE. Paths of a file are relative to root.
func setFlag(flag *pflag.Flag, source, root string, value *yaml.Node) error {
	values := []string{value.Value}
	switch value.Kind {
	case yaml.SequenceNode:
		values = nil
		for _, item := range value.Content {
			values = append(values, item.Value)
		}
	case yaml.MappingNode:
		values = nil
		for i := 0; i+1 < len(value.Content); i += 2 {
			values = append(values, value.Content[i].Value+"="+value.Content[i+1].Value)
		}
	}
	_, isFile := flag.Annotations[cobra.BashCompFilenameExt]
	_, isFolder := flag.Annotations[cobra.BashCompSubdirsInDir]
	if root != "" && (isFile || isFolder) {
		for i, path := range values {
			if !filepath.IsAbs(path) {
				values[i] = filepath.Join(root, filepath.FromSlash(path))
			}
		}
	}
	var err error
	if list, ok := flag.Value.(pflag.SliceValue); ok && value.Kind != yaml.ScalarNode {
		err = list.Replace(values)
	} else if len(values) != 1 {
		err = errors.New("want one value")
	} else {
		err = flag.Value.Set(values[0])
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", source, flag.Name, err)
	}
	flag.Changed = true
	if flag.Annotations == nil {
		flag.Annotations = map[string][]string{}
	}
	flag.Annotations[sourceAnnotation] = []string{source}
	return nil
}

// withoutFlags returns a .slipway.yml without the flags in the section of a command: what is left are settings of another form.
func withoutFlags(data []byte, command string) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil || len(document.Content) == 0 {
		return data, err
	}
	section := member(document.Content[0], command)
	cmd, _, err := newRoot(command).Find([]string{command})
	if section == nil || section.Kind != yaml.MappingNode || err != nil {
		return data, err
	}
	lines := strings.Split(string(data), "\n")
	for i := 0; i+1 < len(section.Content); i += 2 {
		// baseline is a setting and a flag, and means the same.
		if name := section.Content[i]; cmd.Flags().Lookup(name.Value) != nil && name.Value != "baseline" && section.Style&yaml.FlowStyle == 0 {
			var last int
			if i+2 < len(section.Content) {
				last = section.Content[i+2].Line - 1
			} else {
				last = lastLine(section.Content[i+1])
			}
			for line := name.Line - 1; line < last && line < len(lines); line++ {
				lines[line] = ""
			}
		}
	}
	return []byte(strings.Join(lines, "\n")), nil
}

func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, child := range n.Content {
		last = max(last, lastLine(child))
	}
	return last
}
