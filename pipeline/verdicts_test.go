package pipeline_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// These verdicts follow from GitLab's code and documentation; the conformance cases have those of GitLab itself.

// verdictOn gives the key path of the first error, "none: <reason>" where there is no pipeline, else the jobs as JSON.
func verdictOn(t *testing.T, event pipeline.Event, files map[string]string) string {
	t.Helper()
	plan, err := load(t, pipeline.Options{}, files).Plan(t.Context(), event)
	var wrong pipeline.Errors
	switch {
	case errors.As(err, &wrong):
		if wrong[0].Create {
			return "create: " + wrong[0].Path
		}
		return wrong[0].Path
	case err != nil:
		t.Fatal(err)
	case !plan.Created:
		return "none: " + plan.Reason
	}
	text, err := json.Marshal(plan.Jobs)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestVerdictsOnRules(t *testing.T) {
	t.Parallel()
	main := pipeline.Event{Source: pipeline.Push, Branch: "main"}
	for name, test := range map[string]struct {
		event  pipeline.Event
		config string
		want   string
	}{
		"a workflow rule that cannot be decided says never": {main,
			"workflow: {rules: [{changes: {paths: [a], compare_to: gone}}, {when: always}]}\nunit: {script: [x]}\n", "none: workflow"},
		"tags do not see the variables of the rule": {main,
			`unit: {script: [x], variables: {B: job}, tags: ["$A-$B"], rules: [{if: $CI, variables: {A: one, B: rule}}]}`,
			`[{"name":"unit","script":["x"],"stage":"test","tags":["$A-job"],"variables":{"A":"one","B":"rule"}}]`},
		"a circle through the variables of a rule is no error": {main,
			`unit: {script: [x], variables: {A: $B}, rules: [{if: $CI, variables: {B: $A}}]}`,
			`[{"name":"unit","script":["x"],"stage":"test","variables":{"A":"$B","B":"$A"}}]`},
	} {
		if diff := cmp.Diff(test.want, verdictOn(t, test.event, map[string]string{".gitlab-ci.yml": test.config})); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}
