package pipeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

// Each plan of the conformance corpus is the same after it was written and read, down to nil and empty lists.
func TestPlansCanBeReadBack(t *testing.T) {
	t.Parallel()
	plans := 0
	err := filepath.WalkDir(filepath.Join("testdata", "conformance"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".txtar") {
			return err
		}
		project, event := readCase(t, path).load(t)
		plan, err := project.Plan(t.Context(), event)
		if errors.As(err, new(pipeline.Errors)) {
			return nil
		}
		if err != nil {
			return err
		}
		plans++
		t.Run(path, func(t *testing.T) { readBack(t, plan) })
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if plans < 200 {
		t.Errorf("only %d plans", plans)
	}
}

func readBack(t *testing.T, plan *pipeline.Plan) {
	t.Helper()
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var got pipeline.Plan
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !reflect.DeepEqual(plan, &got) {
		t.Errorf("read back (-plan +read):\n%s\n%s", cmp.Diff(plan, &got), text)
	}
}

func TestPlansWithOddValuesCanBeReadBack(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{Variables: []pipeline.Variable{{Key: "A", Value: "<b>\u2028", Masked: true}}}, map[string]string{
		".gitlab-ci.yml": `
spec: {inputs: {n: {type: number}, a: {type: array}, d: {default: x}}}
---
image: {name: go, docker: {user: "1"}, kubernetes: {user: 1000}}
a:
  script: []
  script: [x]
  cache: []
  needs: []
  dependencies: []
  allow_failure: {}
  retry: {}
  environment: {name: e, kubernetes: {agent: a/b, dashboard: {namespace: n}}}
  artifacts: {paths: [], when: on_success, untracked: false, reports: {junit: [a.xml], coverage_report: {coverage_format: cobertura, path: c.xml}}}
  hooks: {pre_get_sources_script: [a]}
  id_tokens: {T: {aud: [a, b]}}
  release: {tag_name: v1, description: d, milestones: [m]}
b: {trigger: {include: [{local: child.yml, inputs: {i: 1, f: 1.5, g: 2.0, big: 12345678901234567890, huge: .inf, odd: .nan, list: [1, [2.5]], none: null}}], forward: {pipeline_variables: true, yaml_variables: null}}}
c: {trigger: {include: [{artifact: x.yml, job: a}]}}
d: {trigger: {include: gone.yml}}
e: {trigger: {project: a/b, inputs: {n: 3}}}
`,
		"child.yml": "spec: {inputs: {i: {type: number}, f: {type: number}, g: {type: number}, big: {type: number}, huge: {type: number}, odd: {type: number}, list: {type: array}, none: {default: x}}}\n---\nx: {script: [\"echo $[[ inputs.big ]]\"], cache: {key: {files: [a]}, untracked: false, policy: pull}}\n",
	})
	plan := mustPlan(t, project, pipeline.Event{
		Source: pipeline.Push, Branch: "main", Changed: []string{}, CompareTo: map[string][]string{"main": nil, "x": {}},
		Inputs: map[string]any{"n": json.Number("4"), "a": []string{"x"}}, Predefined: map[string]string{"X": ""},
		MergeRequestInfo: &pipeline.MergeRequestInfo{Labels: []string{"l"}},
	})
	readBack(t, plan)
	if len(plan.Job("d").Trigger.ChildErrors) == 0 || plan.Job("c").Trigger.ChildUnknown == "" || plan.Job("b").Trigger.Child == nil {
		t.Errorf("%+v", plan.Job("b").Trigger)
	}
	// Inputs of numbers are integers again: what is compiled from a plan that was read is the same.
	var read pipeline.Plan
	text, err := json.Marshal(plan)
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil {
		t.Fatal(err)
	}
	artifact := func(string, string) ([]byte, error) { return []byte("made: {script: [x]}\n"), nil }
	for _, p := range []*pipeline.Plan{plan, &read} {
		trigger, err := project.ChildPlan(t.Context(), p, p.Job("c"), artifact)
		if err != nil || trigger.Child == nil || trigger.Child.Job("made") == nil {
			t.Fatalf("%+v, %v", trigger, err)
		}
	}
	if diff := cmp.Diff(render.GitLabJobs(plan.Jobs), render.GitLabJobs(read.Jobs)); diff != "" {
		t.Error(diff)
	}
}

func TestPlansThatAreNone(t *testing.T) {
	t.Parallel()
	for _, text := range []string{``, `[]`, `{"jobs": {}}`, `{"jobs": [{"image": 1}]}`} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			if err := json.Unmarshal([]byte(text), new(pipeline.Plan)); err == nil {
				t.Errorf("%s was read", text)
			}
		})
	}
}
