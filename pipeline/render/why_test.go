package render_test

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
)

func whyProject(t *testing.T) *pipeline.Project {
	t.Helper()
	project, err := pipeline.Load(fstest.MapFS{".gitlab-ci.yml": {Data: []byte(`workflow: {rules: [{if: $CI_COMMIT_TAG, when: never}, {when: always}]}
deploy:
  script: [x]
  environment: staging
  rules:
    - if: $TOKEN == "$NAME"
    - if: $SCOPED == "of staging" && $KEY
    - when: manual
      allow_failure: true
old: {script: [x], except: [main]}
`)}}, pipeline.Options{Variables: []pipeline.Variable{
		{Key: "TOKEN", Value: "hunter2-token", Masked: true, Protected: true}, {Key: "KEY", Value: "hunter2-key", Masked: true},
		{Key: "SCOPED", Value: "of staging", EnvironmentScope: "staging"}, {Key: "SCOPED", Value: "of production", EnvironmentScope: "production"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// The answer shows what the rules saw: no protected variable on an unprotected ref, no masked value, no variable of another
// environment, and no name inside a string literal.
func TestWhy(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, job string
		event     pipeline.Event
		want      string
	}{
		{"in", "deploy", pipeline.Event{Source: pipeline.Push, Branch: "main"}, `deploy is part of: push on main
  because   rules[1] matched: if $SCOPED == "of staging" && $KEY
  decided   .gitlab-ci.yml:7
  defined   .gitlab-ci.yml:2
  rules[0]  no   if $TOKEN == "$NAME"  .gitlab-ci.yml:6
                 $TOKEN is not set
  rules[1]  yes  if $SCOPED == "of staging" && $KEY  .gitlab-ci.yml:7
                 $SCOPED is "of staging"
                 $KEY is "[MASKED]"
  rules[2]  -    when manual  .gitlab-ci.yml:8
  waits     for nothing
`},
		{"protected", "deploy", pipeline.Event{Source: pipeline.Push, Branch: "main", RefProtected: true}, `  rules[0]  no   if $TOKEN == "$NAME"  .gitlab-ci.yml:6
                 $TOKEN is "[MASKED]"
`},
		{"except", "old", pipeline.Event{Source: pipeline.Push, Branch: "main"}, `old is not part of: push on main
  because   excluded by except
  decided   .gitlab-ci.yml:10
  defined   .gitlab-ci.yml:10
  except    yes  [main]  .gitlab-ci.yml:10
`},
		{"no pipeline", "old", pipeline.Event{Source: pipeline.Push, Tag: "v1"}, `old is not part of: push of tag v1
  because   there is no pipeline: workflow:rules[0] matched: if $CI_COMMIT_TAG, when never
  rules[0]  yes  if $CI_COMMIT_TAG, when never  .gitlab-ci.yml:1
                 $CI_COMMIT_TAG is "v1"
  rules[1]  -    when always  .gitlab-ci.yml:1
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			project := whyProject(t)
			plan, err := project.Plan(t.Context(), test.event)
			if err != nil {
				t.Fatal(err)
			}
			config, err := project.Config(t.Context(), test.event)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			found, err := render.Why(&out, plan, config.Jobs(), test.job, render.Palette{})
			if err != nil || !found {
				t.Fatal(found, err)
			}
			if !strings.Contains(out.String(), test.want) {
				t.Error(cmp.Diff(test.want, out.String()))
			}
		})
	}
}

func TestJSONHasTheChecks(t *testing.T) {
	t.Parallel()
	plan, err := whyProject(t).Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := render.JSON(&out, plan); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Workflow struct {
			Checks []struct{ Result string }
		}
		Decisions map[string]struct {
			Checks []struct {
				Keyword, Text, Result string
				Index, Line           int
				Variables             []struct {
					Name  string
					Value *string
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil {
		t.Fatal(err)
	}
	deploy := got.Decisions["deploy"].Checks
	if len(deploy) != 3 || deploy[1].Line != 7 || deploy[1].Result != "matched" || len(deploy[1].Variables) != 2 ||
		*deploy[1].Variables[1].Value != "[MASKED]" || deploy[0].Variables[0].Value != nil || len(got.Workflow.Checks) != 2 {
		t.Errorf("%+v\n%s", got, out.String())
	}
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("a masked value is shown:\n%s", out.String())
	}
}
