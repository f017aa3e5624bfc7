package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// projectFlags say which project is meant, and what GitLab would know of it.
type projectFlags struct {
	dir, config           string
	path, host, defBranch string
	variables             string
	includes              includeFlags
	cmd                   *cobra.Command
}

func (f *projectFlags) bind(cmd *cobra.Command) {
	f.cmd = cmd
	flags := cmd.Flags()
	flags.StringVarP(&f.dir, "directory", "C", ".", "`FOLDER` of the project")
	flags.StringVar(&f.config, "config", ".gitlab-ci.yml", "configuration `FILE`, relative to the project")
	flags.StringVar(&f.path, "project-path", "acme/app", "the project's `PATH` on GitLab (CI_PROJECT_PATH)")
	flags.StringVar(&f.host, "host", "gitlab.example.com", "the GitLab instance's `HOST` (CI_SERVER_HOST)")
	flags.StringVar(&f.defBranch, "default-branch", "main", "the project's default `BRANCH`")
	flags.StringVar(&f.variables, "variables", "", "YAML `FILE` with the project's CI/CD variables: a list of {key, value, ...}")
	f.includes.bind(cmd)
	_ = cmd.MarkFlagDirname("directory")
	_ = cmd.MarkFlagFilename("variables", "yml", "yaml")
}

// open loads the project in the folder that the flags name.
func (f *projectFlags) open() (*pipeline.Project, error) {
	info, err := os.Stat(f.dir)
	if err != nil {
		return nil, fmt.Errorf("no folder %s", f.dir)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", f.dir)
	}
	f.compareDefaultBranch()
	project, err := f.load(f.files())
	if err == nil {
		go project.ReadAhead() // while git is asked what happened
	}
	return project, err
}

// compareDefaultBranch says so if the clone knows another default branch than the one that is taken. Only the flag
// decides: another clone may know none, and the same command has to give the same answer there.
func (f *projectFlags) compareDefaultBranch() {
	head, err := os.ReadFile(filepath.Join(f.dir, ".git", "refs", "remotes", "origin", "HEAD"))
	if err != nil || f.cmd.Flags().Changed("default-branch") {
		return
	}
	known, ok := strings.CutPrefix(strings.TrimSpace(string(head)), "ref: refs/remotes/origin/")
	if ok && known != f.defBranch {
		fmt.Fprintf(f.cmd.ErrOrStderr(), "slipway: the default branch of origin is %s, here it is %s; --default-branch %s makes it that\n", known, f.defBranch, known)
	}
}

// files is the project's work tree.
func (f *projectFlags) files() fs.FS { return os.DirFS(f.dir) }

// load loads the project from a tree: the work tree or a commit's.
func (f *projectFlags) load(files fs.FS) (*pipeline.Project, error) {
	includes, err := f.includes.resolver()
	if err != nil {
		return nil, err
	}
	options := pipeline.Options{
		ConfigPath: f.config, Path: f.path, Host: f.host, DefaultBranch: f.defBranch,
		Resolver: includes, SkipMissing: f.includes.skipping(),
	}
	if f.variables != "" {
		variables, err := readVariables(f.variables)
		if err != nil {
			return nil, err
		}
		options.Variables = variables
	}
	project, err := pipeline.Load(files, options)
	if errors.Is(err, fs.ErrNotExist) {
		dir, absErr := filepath.Abs(f.dir)
		if absErr != nil {
			dir = f.dir
		}
		return nil, fmt.Errorf("no %s in %s; -C names another folder, --config another file", f.config, dir)
	}
	return project, err
}

// inputTypes are the declared types of the configuration's inputs, by name. What is wrong with the file is found when it
// is compiled.
func (f *projectFlags) inputTypes() map[string]string {
	var header struct {
		Spec struct {
			Inputs map[string]struct {
				Type string `yaml:"type"`
			} `yaml:"inputs"`
		} `yaml:"spec"`
	}
	types := map[string]string{}
	data, err := fs.ReadFile(f.files(), f.config)
	if err != nil || yaml.NewDecoder(bytes.NewReader(data)).Decode(&header) != nil {
		return types
	}
	for name, input := range header.Spec.Inputs {
		types[name] = input.Type
	}
	return types
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

// readVariables reads a file of project variables; an unknown key is an error.
func readVariables(path string) ([]pipeline.Variable, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read variables: %w", err)
	}
	var variables []pipeline.Variable
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	decoder.KnownFields(true)
	if err := decoder.Decode(&variables); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s%s; want a list of {key, value, masked, protected, file, raw, environment_scope}", path, yamlErrorText(err))
	}
	for i, v := range variables {
		if v.Key == "" {
			return nil, fmt.Errorf("%s: item %d has no key", path, i+1)
		}
	}
	return variables, nil
}
