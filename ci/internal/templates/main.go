// Command templates generates what follows from the stages in ci/: a component for each in templates/, where GitLab's Catalog looks, and in
// docs/stages/ the lists of their jobs and inputs. It is run from the repository's root:
//
//	go run ./ci/internal/templates          writes them
//	go run ./ci/internal/templates -check   lists those that are not up to date, and exits with 1
//	go run ./ci/internal/templates -tools-image registry.example.com/platform/slipway/tools:1.2.3@sha256:...
//
// The last one makes an image the default of all stages: what a release does.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	check := flag.Bool("check", false, "compare only")
	root := flag.String("root", ".", "the repository's root `folder`")
	image := flag.String("tools-image", "", "make this `reference` the tools image of all stages")
	flag.Parse()
	if *image != "" {
		if err := setToolsImage(*root, *image); err != nil {
			fmt.Fprintln(os.Stderr, "templates: "+err.Error())
			os.Exit(2)
		}
	}
	stale, err := generate(*root, !*check)
	if err != nil {
		fmt.Fprintln(os.Stderr, "templates: "+err.Error())
		os.Exit(2)
	}
	if *check && len(stale) > 0 {
		fmt.Printf("Not up to date: %s. Run: go run ./ci/internal/templates\n", strings.Join(stale, ", "))
		os.Exit(1)
	}
}

// toolsImage finds the default of the input tools_image.
var toolsImage = regexp.MustCompile(`(?m)^(    tools_image:\n(?:      .*\n)*?      default: ).*$`)

// setToolsImage makes reference the default of the input tools_image of every stage and of the preset.
func setToolsImage(root, reference string) error {
	files, err := filepath.Glob(filepath.Join(root, "ci", "*.yml"))
	if err != nil {
		return err
	}
	for _, f := range append(files, filepath.Join(root, "templates", "go-service.yml")) {
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		changed := toolsImage.ReplaceAll(text, []byte("${1}"+reference))
		if bytes.Equal(text, changed) {
			continue
		}
		if err := os.WriteFile(f, changed, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns the files that differ from what the stages say; with write it writes them.
func generate(root string, write bool) (stale []string, err error) {
	files, err := filepath.Glob(filepath.Join(root, "ci", "*.yml"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	expected := map[string][]byte{}
	var names []string
	add := func(name string, content []byte) { names, expected[name] = append(names, name), content }
	var all []*stage
	for _, f := range files {
		s, err := readStage(f)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
		// A component may have no global keyword, so the workflow is included by its file only.
		if s.name != "workflow" {
			add(filepath.Join("templates", s.name+".yml"), s.component())
		}
		page := filepath.Join("docs", "stages", s.name+".md")
		text, err := os.ReadFile(filepath.Join(root, page))
		if os.IsNotExist(err) {
			return nil, fmt.Errorf("%s is missing: every stage has a page (see docs/stages/lint.md)", page)
		}
		if err != nil {
			return nil, err
		}
		if text, err = fill(text, "jobs", s.jobList()); err != nil {
			return nil, fmt.Errorf("%s: %w", page, err)
		}
		if text, err = fill(text, "inputs", inputTable(s.inputs)); err != nil {
			return nil, fmt.Errorf("%s: %w", page, err)
		}
		add(page, text)
	}
	index := filepath.Join("docs", "stages", "README.md")
	text, err := os.ReadFile(filepath.Join(root, index))
	if err != nil {
		return nil, err
	}
	if text, err = fill(text, "stages", list(all)); err != nil {
		return nil, fmt.Errorf("%s: %w", index, err)
	}
	if text, err = fill(text, "requirements", requirementsTable(all)); err != nil {
		return nil, fmt.Errorf("%s: %w", index, err)
	}
	service, err := readInputs(filepath.Join(root, "templates", "go-service.yml"))
	if err != nil {
		return nil, err
	}
	if text, err = fill(text, "inputs", inputTable(service)); err != nil {
		return nil, fmt.Errorf("%s: %w", index, err)
	}
	add(index, text)

	for _, name := range names {
		path := filepath.Join(root, name)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, expected[name]) {
			continue
		}
		stale = append(stale, name)
		if write {
			if err := os.WriteFile(path, expected[name], 0o644); err != nil {
				return nil, err
			}
		}
	}
	return stale, nil
}
