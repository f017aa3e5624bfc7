package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func load(t *testing.T, options pipeline.Options, files map[string]string) *pipeline.Project {
	t.Helper()
	tree := fstest.MapFS{}
	for path, text := range files {
		tree[path] = &fstest.MapFile{Data: []byte(text)}
	}
	project, err := pipeline.Load(tree, options)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func mustPlan(t *testing.T, project *pipeline.Project, event pipeline.Event) *pipeline.Plan {
	t.Helper()
	plan, err := project.Plan(context.Background(), event)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func TestLoadWithoutConfiguration(t *testing.T) {
	t.Parallel()
	if _, err := pipeline.Load(fstest.MapFS{}, pipeline.Options{}); err == nil {
		t.Error("a folder without a configuration loads")
	}
}

func TestErrorsTellWhereAndWhatWouldBeRight(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": `
include: [ci/a.yml]
unit:
  scrpt: [x]
build:
  script: [x]
  when: later
  needs: [unti]
`, "ci/a.yml": "lint: {script: [x], retry: 5}\n"})
	_, err := project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push})
	var wrong pipeline.Errors
	if !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	want := []string{
		".gitlab-ci.yml:3:1: jobs:unit: neither script nor trigger says what the job does (did you mean script instead of scrpt?)",
		"ci/a.yml:1:28: jobs:lint:retry: should be a number from 0 to 2, not the integer 5",
		`.gitlab-ci.yml:7:9: jobs:build:when: the string "later" is not a value of when (one of on_success, on_failure, always, manual, delayed)`,
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	var first *pipeline.Error
	if !errors.As(err, &first) || first.Position.Line != 3 {
		t.Errorf("%v", first)
	}
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": `
a: {script: [x], rules: [{if: $CI_COMMIT_TAG}, {if: $CI_COMMIT_BRANCH, when: manual}]}
b: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}
c: {script: [x], rules: [{when: never}]}
d: {script: [x], only: [tags]}
e: {script: [x]}
`})
	plan := mustPlan(t, project, pipeline.Event{Source: pipeline.Push, Branch: "main"})
	got := map[string]pipeline.Decision{}
	for _, job := range slices.Concat(plan.Jobs, plan.Dropped) {
		job.Decision.Position, job.Decision.Checks = pipeline.Position{}, nil
		got[job.Name] = job.Decision
	}
	want := map[string]pipeline.Decision{
		"a": {Rule: 1, Text: "rules[1] matched: if $CI_COMMIT_BRANCH, when manual"},
		"b": {Rule: -1, Text: "none of 1 rules matched"},
		"c": {Rule: 0, Text: "rules[0] matched: when never"},
		"d": {Rule: -1, Text: "excluded by only"},
		"e": {Rule: -1, Text: "no rule excludes it"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEnvironmentURLFromDotenv(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": `
deploy: {script: [x], environment: {name: "prod$NONE", url: "https://$HOST/$CI_COMMIT_BRANCH"}}
`})
	plan := mustPlan(t, project, pipeline.Event{Source: pipeline.Web, Branch: "main"})
	// The job's own report comes after the plan, those of earlier jobs before its script.
	if e := plan.Jobs[0].Environment; e.Name != "prod" || e.URL != "https://$HOST/main" {
		t.Errorf("got %+v", e)
	}
	for _, v := range plan.Environment(plan.Jobs[0], []pipeline.Variable{{Key: "HOST", Value: "example.com"}}, nil) {
		if v.Key == "CI_ENVIRONMENT_URL" && v.Value != "https://example.com/main" {
			t.Errorf("%s is %q", v.Key, v.Value)
		}
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{Variables: []pipeline.Variable{
		{Key: "PROJECT", Value: "project"}, {Key: "BOTH", Value: "project"}, {Key: "DOT", Value: "project"},
		{Key: "SECRET", Value: "s", Protected: true}, {Key: "URL", Value: "any"}, {Key: "URL", Value: "prod", EnvironmentScope: "prod/*"},
		{Key: "PASSWORD", Value: "pa$$word", Raw: true},
		{Key: "CONFIG", Value: "{}", File: true}, {Key: "OTHER", Value: "x", EnvironmentScope: "staging"},
	}}, map[string]string{".gitlab-ci.yml": `
variables: {A: "$B-$CI_COMMIT_BRANCH", B: b, BOTH: yaml, RAW: {value: $A, expand: false}, NONE: "[$UNSET]", SELF: "$SELF x", SHELL: "$$B", USE: "$CONFIG", DEEP: "$A/$PROJECT", PASS: "x:$PASSWORD@$SHELL", SUBST: "$(date) ${B:-none}$1."}
deploy: {script: [x], environment: {name: prod/eu, url: "https://x"}, variables: {B: job}}
`})
	plan := mustPlan(t, project, pipeline.Event{Source: pipeline.Web, Branch: "main", Variables: []pipeline.Variable{{Key: "BOTH", Value: "run"}}})
	got := map[string]string{}
	for _, v := range plan.Environment(plan.Jobs[0], []pipeline.Variable{{Key: "DOT", Value: "dotenv"}, {Key: "FROM", Value: "$B"}},
		[]pipeline.Variable{{Key: "CI_PROJECT_DIR", Value: "/builds/app"}, {Key: "CI_JOB_ID", Value: "7"}}) {
		got[v.Key] = v.Value
	}
	want := map[string]string{
		"A": "job-main", "B": "job", "BOTH": "run", "RAW": "$A", "NONE": "[]", "SELF": "$SELF x x", "SHELL": "$B", "PASS": "x:pa$$word@$B", "SUBST": "$(date) .", "PASSWORD": "pa$$word", "USE": "/builds/app.tmp/CONFIG", "DEEP": "job-main/project",
		"PROJECT": "project", "DOT": "project", "FROM": "job", "URL": "prod", "CONFIG": "{}", "CI_PROJECT_DIR": "/builds/app", "CI_JOB_ID": "7",
		"CI_JOB_NAME": "deploy", "CI_ENVIRONMENT_NAME": "prod/eu", "CI_ENVIRONMENT_SLUG": "prod-eu-vyg7yo", "CI_ENVIRONMENT_TIER": "production", "CI_ENVIRONMENT_URL": "https://x", "CI_NODE_TOTAL": "1",
	}
	for key, value := range want {
		t.Run(key, func(t *testing.T) {
			if got[key] != value {
				t.Errorf("%s is %q, want %q", key, got[key], value)
			}
		})
	}
	for _, key := range []string{"SECRET", "OTHER", "CI_NODE_INDEX"} {
		if v, ok := got[key]; ok {
			t.Errorf("%s is %q", key, v)
		}
	}
}

func TestChildPipelines(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": `
child: {trigger: {include: [{local: ci/child.yml, inputs: {name: zed}}]}, variables: {KIND: "of $CI_COMMIT_BRANCH"}, rules: [{changes: [a.go]}]}
broken: {trigger: {include: [{local: ci/gone.yml}]}, rules: [{when: always}]}
later: {trigger: {include: [{artifact: x.yml, job: gen}]}, rules: [{when: always}]}
gen: {script: [x], rules: [{when: always}]}
self: {trigger: {include: .gitlab-ci.yml}, rules: [{when: always}]}
`, "ci/child.yml": `
spec: {inputs: {name: {}}}
---
"$[[ inputs.name ]]": {script: [x], rules: [{if: $KIND == "of main" && $CI_PIPELINE_SOURCE == "parent_pipeline", changes: [a.go]}]}
other: {script: [x], rules: [{changes: [b.go]}]}
`})
	plan := mustPlan(t, project, pipeline.Event{Source: pipeline.Push, Branch: "main", Changed: []string{"a.go"}})
	child := plan.Job("child").Trigger.Child
	if child == nil || len(child.Jobs) != 1 || child.Jobs[0].Name != "zed" {
		t.Errorf("child: %+v, %v", child, plan.Job("child").Trigger.ChildError())
	}
	for _, name := range []string{"broken", "later"} {
		if err := plan.Job(name).Trigger.ChildError(); err == nil {
			t.Errorf("%s has no error", name)
		}
	}
	deep := plan.Job("self").Trigger.Child.Job("self").Trigger.Child.Job("self").Trigger
	if deep.Child != nil || deep.ChildError() == nil {
		t.Error("child pipelines go down without end")
	}
}

func TestStandardEventsPlan(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": "a: {script: [x], rules: [{when: always}]}\n"})
	events := pipeline.StandardEvents()
	if len(events) < 15 {
		t.Errorf("%d events", len(events))
	}
	for _, event := range events {
		t.Run(event.Name, func(t *testing.T) {
			if plan := mustPlan(t, project, event); !plan.Created {
				t.Errorf("%s: %s", event.Name, plan.Reason)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{
		"90 minutes": 90 * time.Minute, "1h 30m": 90 * time.Minute, "1h30m": 90 * time.Minute, "2 hours and 5 min": 125 * time.Minute, "3600": time.Hour,
		"1:30": 90 * time.Second, "1:00:00": time.Hour, "1.5 hours": 90 * time.Minute, "one hour": 0, "day": 24 * time.Hour, "1 week, 1 day": 192 * time.Hour,
		"tomorrow": 0, "": 0, "0 minutes": 0, "5 parsecs": 0, "-1 hour": 0,
	} {
		t.Run(text, func(t *testing.T) {
			project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": "a: {script: [x], timeout: \"" + text + "\"}\n"})
			plan, err := project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push})
			switch {
			case (err != nil) != (want == 0):
				t.Errorf("%q: %v", text, err)
			case err == nil && plan.Jobs[0].Timeout != want:
				t.Errorf("%q is %s, want %s", text, plan.Jobs[0].Timeout, want)
			}
		})
	}
}

func TestOwnComponents(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{Path: "platform/go"}, map[string]string{
		".gitlab-ci.yml":                "include: [{component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/test@$CI_COMMIT_SHA}]\n",
		"templates/test/template.yml":   "spec: {component: [name, sha, version]}\n---\ninclude: [{local: templates/test/more.yml}]\n\"$[[ component.name ]]\": {script: [\"$[[ component.sha ]] $[[ component.version ]]\"]}\n",
		"templates/test/more.yml":       "spec: {component: [name]}\n---\n\"more-$[[ component.name ]]\": {script: [x]}\n",
		"templates/not-included/it.yml": "",
	})
	plan := mustPlan(t, project, pipeline.Event{Source: pipeline.Push, SHA: strings.Repeat("a", 40)})
	if got := plan.Job("test").Script[0]; got != strings.Repeat("a", 40)+" " {
		t.Errorf("script %q", got)
	}
	if plan.Job("more-test") == nil {
		t.Error("the local include of the component is missing")
	}
}

func TestErrorsNameTheLimitsOfDurations(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": `
a: {script: [x], timeout: 2 months}
b: {script: [x], when: delayed, start_in: 1 week 1 second}
d: {script: [x], when: delayed, start_in: 1 week}
c: {script: [x], artifacts: {paths: [p], expire_in: 2 years}}
`})
	_, err := project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push})
	if err == nil {
		t.Fatal("the configuration is valid")
	}
	want := []string{
		".gitlab-ci.yml:2:27: jobs:a:timeout: should not be more than a month",
		".gitlab-ci.yml:3:43: jobs:b:start_in: should not be more than a week",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestErrorsTellWhichItemIsWrong(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": `
a: {script: [x], tags: [linux, 5]}
b: {script: [x], artifacts: {paths: [{c: d}]}}
c: {script: [x], dependencies: [[a]]}
`})
	_, err := project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push})
	if err == nil {
		t.Fatal("the configuration is valid")
	}
	want := []string{
		".gitlab-ci.yml:2:32: jobs:a:tags: should be an array of strings, not one with the integer 5 (write a list of strings)",
		".gitlab-ci.yml:3:38: jobs:b:artifacts:paths: should be an array of strings, not one with a hash",
		".gitlab-ci.yml:4:32: jobs:c:dependencies: should be an array of strings, not a nested array",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestMissingInputSaysWhoGivesIt(t *testing.T) {
	t.Parallel()
	const header = "spec: {inputs: {env: {description: x}}}\n---\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"pipeline": {
			map[string]string{".gitlab-ci.yml": header + "a: {script: [x]}\n"},
			"(give it a default)",
		},
		"include": {
			map[string]string{".gitlab-ci.yml": "include: [a.yml]\n", "a.yml": header + "a: {script: [x]}\n"},
			"add it to the inputs of the include",
		},
	} {
		t.Run(name, func(t *testing.T) {
			project := load(t, pipeline.Options{}, test.files)
			_, err := project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %s", name, err, test.want)
			}
		})
	}
}

func TestNeedOfAParallelJobInRules(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": `
a: {script: [x], parallel: 2}
b: {script: [x], rules: [{if: $CI_COMMIT_BRANCH, needs: [a]}]}
`})
	_, err := project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if err == nil || !strings.Contains(err.Error(), "a is parallel; here each of its jobs has to be named, as in a 1/2") {
		t.Error(err)
	}
}
