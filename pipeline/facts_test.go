package pipeline

import (
	"encoding/json"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestFacts plans two events with one project: the second finds the configuration of the first exactly if nothing that decided on
// it differs, and gets the plan that a project of its own makes.
func TestFacts(t *testing.T) {
	t.Parallel()
	push := Event{Source: Push, Branch: "main", SHA: "1"}
	with := func(change func(*Event)) Event {
		e := push
		change(&e)
		return e
	}
	for _, c := range []struct {
		name, include string
		second        Event
		shared        bool
	}{
		{"no facts", "a.yml", with(func(e *Event) { e.Branch = "other" }), true},
		{"variable in a path", "$CI_COMMIT_BRANCH.yml", with(func(e *Event) { e.Branch = "other" }), false},
		{"the same variable in a path", "$CI_COMMIT_BRANCH.yml", with(func(e *Event) { e.SHA = "2" }), true},
		{"a variable that is not set", "{local: a.yml, rules: [{if: $FLAG == null}]}", with(func(e *Event) { e.Variables = []Variable{{Key: "FLAG", Value: "x"}} }), false},
		{"rule", "{local: a.yml, rules: [{if: $CI_PIPELINE_SOURCE == 'push'}]}", with(func(e *Event) { e.Source = Web }), false},
		{"changes", "{local: a.yml, rules: [{changes: [a.yml]}]}", with(func(e *Event) { e.Changed = []string{"a.yml"} }), false},
		{"the same changes", "{local: a.yml, rules: [{changes: [a.yml]}]}", with(func(e *Event) { e.SHA = "2" }), true},
		{"files of this project at a ref", "{local: a.yml, rules: [{exists: {paths: [a.yml], project: acme/app, ref: main}}]}", with(func(e *Event) { e.Branch = "other" }), false},
		{"inputs", "{local: b.yml, inputs: {x: $[[ inputs.x ]]}}", with(func(e *Event) { e.Inputs = map[string]any{"x": "2"} }), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{
				".gitlab-ci.yml": {Data: []byte("spec: {inputs: {x: {default: '1'}}}\n---\ninclude: [" + c.include + "]\njob: {script: x}\n")},
				"a.yml":          {Data: []byte("a: {script: a}\n")},
				"b.yml":          {Data: []byte("spec: {inputs: {x: {}}}\n---\nb: {script: $[[ inputs.x ]]}\n")},
				"main.yml":       {Data: []byte("a: {script: main}\n")},
				"other.yml":      {Data: []byte("a: {script: other}\n")},
			}
			plan := func(p *Project, e Event) string {
				plan, err := p.Plan(t.Context(), e)
				if err != nil {
					return err.Error()
				}
				text, err := json.Marshal(plan)
				if err != nil {
					t.Fatal(err)
				}
				return string(text)
			}
			project, other := mustLoad(t, files), mustLoad(t, files)
			plan(project, push)
			if diff := cmp.Diff(plan(other, c.second), plan(project, c.second)); diff != "" {
				t.Errorf("(-alone +after another event)\n%s", diff)
			}
			if n := len(project.cache.configurations.list); (n == 1) != c.shared {
				t.Errorf("%d configurations are kept, shared: %t", n, c.shared)
			}
		})
	}
}

func mustLoad(t *testing.T, files fstest.MapFS) *Project {
	t.Helper()
	p, err := Load(files, Options{SkipMissing: func(*Error) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}
