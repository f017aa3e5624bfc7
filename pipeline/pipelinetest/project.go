// Package pipelinetest tests a GitLab CI/CD configuration so that a test reads like its claim:
//
//	func TestProductionIsManual(t *testing.T) {
//		p := pipelinetest.Load(t, os.DirFS("../.."))
//		p.On(pipelinetest.MergeRequestFromFork()).HasNoJob("deploy-production")
//		p.On(pipelinetest.Tag("v1.2.3")).Job("deploy-production").IsManual().Blocks().Needs("deploy-staging")
//	}
//
// An assertion that fails marks the test as failed and says why the pipeline is as it is: which rule left the job out,
// where that rule is. The test continues, so that one run reports every failure.
package pipelinetest

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/matrix"
)

// A Project is a configuration under test.
type Project struct {
	t       testing.TB
	project *pipeline.Project
}

// Load opens the configuration in a tree, such as os.DirFS("."); without one the test ends.
func Load(t testing.TB, files fs.FS) *Project {
	t.Helper()
	return LoadWith(t, files, pipeline.Options{})
}

// LoadWith is [Load] with options for what GitLab knows of the project.
func LoadWith(t testing.TB, files fs.FS, options pipeline.Options) *Project {
	t.Helper()
	project, err := pipeline.Load(files, options)
	if err != nil {
		t.Fatalf("load the configuration: %v", err)
	}
	return &Project{t: t, project: project}
}

// On compiles the pipeline of an event. A configuration that GitLab would refuse is a failure; see [Project.Refuses].
func (p *Project) On(event Event) *Plan {
	p.t.Helper()
	plan, err := p.project.Plan(p.t.Context(), event.Event)
	if err != nil {
		p.t.Errorf("on %s: the configuration is refused:\n%v", event, err)
		return &Plan{t: p.t, event: event}
	}
	return &Plan{t: p.t, event: event, plan: plan}
}

// Refuses checks that GitLab would refuse the pipeline of an event, because of what stands at the key path where
// ("jobs:deploy:needs"), or below or above it. It returns the errors for further checks.
func (p *Project) Refuses(event Event, where string) pipeline.Errors {
	p.t.Helper()
	_, err := p.project.Plan(p.t.Context(), event.Event)
	var refused pipeline.Errors
	if !errors.As(err, &refused) {
		p.t.Errorf("on %s: the configuration is accepted, want it refused at %s (error: %v)", event, where, err)
		return nil
	}
	for _, e := range refused {
		if within(e.Path, where) || within(where, e.Path) {
			return refused
		}
	}
	p.t.Errorf("on %s: the configuration is refused, but not at %s:\n%v", event, where, err)
	return refused
}

// within reports whether a key path is another, or below it.
func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+":")
}

// MatchesMatrix compares the jobs of the events (the standard ones if none are given) with a golden file, as
// `slipway matrix --update` writes it. If the test binary has a boolean flag "update" and it is set, or the environment has
// UPDATE_GOLDEN=1, the file is written instead.
func (p *Project) MatchesMatrix(golden string, events ...Event) {
	p.t.Helper()
	list := pipeline.StandardEvents()
	if len(events) > 0 {
		list = nil
		for _, event := range events {
			list = append(list, event.Event)
		}
	}
	got, err := matrix.Build(p.t.Context(), p.project, list)
	if err != nil {
		p.t.Errorf("build the matrix: %v", err)
		return
	}
	text := got.Text()
	if strings.EqualFold(filepath.Ext(golden), ".json") {
		text = got.JSON()
	}
	if updating() {
		if err := os.WriteFile(golden, []byte(text), 0o644); err != nil {
			p.t.Errorf("write the golden file: %v", err)
		}
		return
	}
	data, err := os.ReadFile(golden)
	if err != nil {
		p.t.Errorf("read the golden file: %v; UPDATE_GOLDEN=1 writes it", err)
		return
	}
	if string(data) == text {
		return
	}
	want, err := matrix.Parse(data)
	if err != nil {
		p.t.Errorf("%s: %v; UPDATE_GOLDEN=1 writes it again", golden, err)
		return
	}
	p.t.Errorf("the jobs are not those of %s:\n  %s\nUPDATE_GOLDEN=1 accepts that", golden, strings.Join(matrix.Compare(want, got), "\n  "))
}

func updating() bool {
	if os.Getenv("UPDATE_GOLDEN") == "1" {
		return true
	}
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}

// place is where something stands, in brackets; empty if that is not known.
func place(p pipeline.Position) string {
	if at := p.String(); at != "" {
		return " (" + at + ")"
	}
	return ""
}
