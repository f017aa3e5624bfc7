package pipeline_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// What a rule saw is recorded as the rule saw it, whatever else the project's settings hold.
func TestChecksRecordWhatRulesSaw(t *testing.T) {
	t.Parallel()
	settings := []pipeline.Variable{
		{Key: "MASKED", Value: "hunter2-secret", Masked: true},
		{Key: "PROTECTED", Value: "protected-secret", Masked: true, Protected: true},
		{Key: "SCOPED", Value: "any"}, {Key: "SCOPED", Value: "of production", EnvironmentScope: "production"},
		{Key: "WITH", Value: "x-hunter2-secret-y"},
		{Key: "JOB", Value: "project"},
	}
	project := load(t, pipeline.Options{Variables: settings}, map[string]string{".gitlab-ci.yml": `
include:
  - {local: more.yml, rules: [{if: "$MASKED == 'x'"}, {if: $SCOPED}]}
  - {local: gone.yml, rules: [{if: $PROTECTED}]}
workflow: {rules: [{if: $PROTECTED}, {if: "$CI_COMMIT_BRANCH == 'main'"}, {when: always}]}
variables: {JOB: yaml, DIR: "src/$MASKED"}
a: {script: [x], environment: production, rules: [{if: "$SCOPED == '$LITERAL' && $NEVER"}, {if: "$JOB == 'project' && $MASKED =~ /^hunter2/"}]}
b: {script: [x], rules: [{if: "$PROTECTED"}, {if: "$WITH", changes: ["$DIR/*.go"]}]}
c: {script: [x], only: {variables: [$NEVER]}}
d: {script: [x], except: {variables: [$SCOPED]}}
e: {script: [x], rules: [{changes: {paths: [a], compare_to: "$MASKED"}, when: never}, {when: always}]}
`, "more.yml": "more: {script: [x], only: [main]}\n"})
	event := pipeline.Event{
		Source: pipeline.Push, Branch: "main", Changed: []string{"src/hunter2-secret/a.go"},
		CompareTo: map[string][]string{"hunter2-secret": nil},
	}
	plan := mustPlan(t, project, event)
	unset := func(name string) pipeline.SeenVariable { return pipeline.SeenVariable{Name: name} }
	seen := func(name, value string) pipeline.SeenVariable {
		return pipeline.SeenVariable{Name: name, Value: value, Set: true}
	}
	type check struct {
		Result pipeline.CheckResult
		Seen   []pipeline.SeenVariable
	}
	got := map[string][]check{}
	record := func(name string, d pipeline.Decision) {
		for _, c := range d.Checks {
			got[name] = append(got[name], check{c.Result, c.Variables})
		}
	}
	record("workflow", plan.Decision)
	for _, i := range plan.Includes {
		record("include "+i.Name, i.Decision)
	}
	for _, job := range append(plan.Jobs, plan.Dropped...) {
		record(job.Name, job.Decision)
	}
	want := map[string][]check{
		"workflow": {
			{pipeline.NotMatched, []pipeline.SeenVariable{unset("PROTECTED")}},
			{pipeline.Matched, []pipeline.SeenVariable{seen("CI_COMMIT_BRANCH", "main")}},
			{pipeline.NotEvaluated, nil},
		},
		"include more.yml": {
			{pipeline.NotMatched, []pipeline.SeenVariable{seen("MASKED", "[MASKED]")}},
			{pipeline.Matched, []pipeline.SeenVariable{seen("SCOPED", "any")}},
		},
		"include gone.yml": {{pipeline.NotMatched, []pipeline.SeenVariable{unset("PROTECTED")}}},
		"a": {
			{pipeline.NotMatched, []pipeline.SeenVariable{seen("SCOPED", "of production")}},
			{pipeline.Matched, []pipeline.SeenVariable{seen("JOB", "project"), seen("MASKED", "[MASKED]")}},
		},
		"b": {
			{pipeline.NotMatched, []pipeline.SeenVariable{unset("PROTECTED")}},
			{pipeline.Matched, []pipeline.SeenVariable{seen("WITH", "x-[MASKED]-y"), seen("DIR", "src/[MASKED]")}},
		},
		"c":    {{pipeline.NotMatched, []pipeline.SeenVariable{unset("NEVER")}}},
		"d":    {{pipeline.Matched, []pipeline.SeenVariable{seen("SCOPED", "any")}}},
		"e":    {{pipeline.NotMatched, []pipeline.SeenVariable{seen("MASKED", "[MASKED]")}}, {pipeline.Matched, nil}},
		"more": {{pipeline.Matched, nil}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("checks (-want +got):\n%s", diff)
	}
}

func TestChecksOfARefThatDoesNotExist(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{Variables: []pipeline.Variable{{Key: "REF", Value: "hunter2-secret", Masked: true}}}, map[string]string{
		".gitlab-ci.yml": "workflow: {rules: [{changes: {paths: [a], compare_to: $REF}}]}\na: {script: [x]}\n",
	})
	plan := mustPlan(t, project, pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if plan.Decision.Text != `rules:changes:compare_to: there is no ref "[MASKED]"` || plan.Decision.Checks[0].Result != pipeline.Failed {
		t.Errorf("%+v", plan.Decision)
	}
}
