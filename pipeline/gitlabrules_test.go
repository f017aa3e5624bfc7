package pipeline_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// TestGitLabRules has rules of GitLab's engine that are easily missed. A want that begins with ! is the path of the error, else
// it is the names of the jobs.
func TestGitLabRules(t *testing.T) {
	t.Parallel()
	push := pipeline.Event{Source: pipeline.Push, Branch: "main"}
	const part = "-- part --\n"
	for name, test := range map[string]struct {
		config string // a second file, part.yml, follows a line "-- part --"
		event  pipeline.Event
		want   string
	}{
		"a null need is left out":              {"a: {script: [x]}\nb: {script: [x], needs: [null, a, [~]]}", push, "a b"},
		"only null needs":                      {"b: {script: [x], needs: [null]}", push, "b"},
		"null includes":                        {"include: [null, {local: part.yml}, ~]\nb: {script: [x]}" + part + "a: {script: [x]}", push, "a b"},
		"**/ of include is no folder, too":     {"include: '**/part.yml'\nb: {script: [x]}" + part + "a: {script: [x]}", push, "a b"},
		"an unset ref":                         {"include: [{project: acme/ci, ref: $NOT_SET, file: a.yml}]\nb: {script: [x]}", push, "!include"},
		"a delay of a week":                    {"a: {script: [x], when: delayed, start_in: 7 days}", push, "a"},
		"a delay of more than a week":          {"a: {script: [x], when: delayed, start_in: 169 hours}", push, "!jobs:a:start_in"},
		"a duration in words":                  {"a: {script: [x], timeout: one hour}", push, "!jobs:a:timeout"},
		"a decimal comma":                      {"a: {script: [x], artifacts: {paths: [a], expire_in: '1,5 hours'}}", push, "!jobs:a:artifacts:expire_in"},
		"the user":                             {"a: {script: [x], rules: [{if: $GITLAB_USER_LOGIN}]}\nworkflow: {rules: [{if: $GITLAB_USER_ID}]}", push, "a"},
		"the user beats YAML":                  {"variables: {GITLAB_USER_NAME: x}\na: {script: [x], rules: [{if: $GITLAB_USER_NAME == 'x'}]}\nb: {script: [x]}", push, "b"},
		"settings beat the user":               {"a: {script: [x], rules: [{if: $GITLAB_USER_NAME == 'run'}]}", pipeline.Event{Source: pipeline.Web, Branch: "main", Variables: []pipeline.Variable{{Key: "GITLAB_USER_NAME", Value: "run"}}}, "a"},
		"includes see no user":                 {"include: [{local: part.yml, rules: [{if: $GITLAB_USER_ID}]}]\nb: {script: [x]}" + part + "a: {script: [x]}", push, "b"},
		"upstream":                             {"a: {script: [x], rules: [{if: $CI_UPSTREAM_JOB_ID}]}\nb: {script: [x], rules: [{when: always}]}", pipeline.Event{Source: pipeline.MultiProject, Branch: "main"}, "a b"},
		"no upstream":                          {"a: {script: [x], rules: [{if: $CI_UPSTREAM_JOB_ID}]}\nb: {script: [x]}", push, "b"},
		"a trigger token":                      {"a: {script: [x], rules: [{if: $CI_TRIGGER_SHORT_TOKEN && $CI_PIPELINE_TRIGGERED}]}\nb: {script: [x], rules: [{when: always}]}", pipeline.Event{Source: pipeline.Trigger, Branch: "main"}, "a b"},
		"no trigger token":                     {"a: {script: [x], rules: [{if: $CI_TRIGGER_SHORT_TOKEN}]}\nb: {script: [x]}", push, "b"},
		"the registry":                         {"a: {script: [x], rules: [{if: $CI_REGISTRY && $CI_REGISTRY_IMAGE && $CI_REGISTRY_PASSWORD == null}]}", push, "a"},
		"CI_NODE_TOTAL in workflow:rules":      {"workflow: {rules: [{if: $CI_NODE_TOTAL == '1'}]}\na: {script: [x]}", push, "a"},
		"the slug of the environment":          {"a: {script: [x], environment: prod, rules: [{if: $CI_ENVIRONMENT_SLUG}]}\nb: {script: [x]}", push, "b"},
		"CI_SERVER is the runner's":            {"a: {script: [x], rules: [{if: $CI_SERVER}]}\nb: {script: [x]}", push, "b"},
		"the reference of the configuration":   {`a: {script: [x], rules: [{if: '$CI_CONFIG_REF_URI =~ /\/\/.gitlab-ci.yml@refs\/tags\/v1$/'}]}`, pipeline.Event{Source: pipeline.Push, Tag: "v1"}, "a"},
		"a long commit message":                {"a: {script: [x], rules: [{if: $CI_COMMIT_MESSAGE_IS_TRUNCATED == 'true'}]}", pipeline.Event{Source: pipeline.Push, Branch: "main", CommitMessage: strings.Repeat("x", 100_001)}, "a"},
		"a commit message that just fits":      {"a: {script: [x], rules: [{if: $CI_COMMIT_MESSAGE_IS_TRUNCATED == 'false'}]}", pipeline.Event{Source: pipeline.Push, Branch: "main", CommitMessage: strings.Repeat("x", 100_000)}, "a"},
		"an undecided rule alone in its stage": {"a: {stage: deploy, script: [x], rules: [{exists: {paths: [x], project: acme/none}}]}\nb: {script: [x]}", push, "b"},
		"an undecided rule beside a job":       {"a: {script: [x], rules: [{exists: {paths: [x], project: acme/none}}]}\nb: {script: [x]}", push, "!jobs:a:rules"},
		"=~ true":                              {"a: {script: [x], rules: [{if: $A =~ true}]}", push, "!jobs:a:rules:if"},
		"!~ of a comparison":                   {"a: {script: [x], rules: [{if: $A !~ ($B == null)}]}", push, "!jobs:a:rules:if"},
		"=~ false":                             {"a: {script: [x], rules: [{if: $A =~ false}]}\nb: {script: [x]}", push, "b"},
		"an empty regex":                       {"include: [{local: part.yml, inputs: {v: a}}]" + part + "spec: {inputs: {v: {regex: }}}\n---\na: {script: ['$[[ inputs.v ]]']}", push, "!inputs:v"},
		"a group in a value":                   {`include: [{local: part.yml, inputs: {v: '\k<x>'}}]` + part + "spec: {inputs: {v: }}\n---\na: {script: ['x $[[ inputs.v ]]']}", push, "!interpolation"},
		"!!set":                                {"a: {script: [x], variables: !!set {A, B}}", push, "!yaml"},
		"!!int of a text":                      {"a: {script: [x], parallel: !!int '2'}", push, "a 1/2 a 2/2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config, part, _ := strings.Cut(test.config, part)
			project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": config, "part.yml": part})
			plan, err := project.Plan(t.Context(), test.event)
			if path, invalid := strings.CutPrefix(test.want, "!"); invalid {
				var list pipeline.Errors
				if !errors.As(err, &list) || list[0].Path != path {
					t.Fatalf("got %v, want an error at %s", err, path)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, job := range plan.Jobs {
				names = append(names, job.Name)
			}
			if !slices.Equal(names, split(test.want)) {
				t.Errorf("got %q, want %q", names, test.want)
			}
		})
	}
}

// split cuts at blanks, but keeps the numbers of parallel jobs at their names.
func split(names string) []string {
	var list []string
	for _, word := range strings.Fields(names) {
		if strings.Contains(word, "/") {
			list[len(list)-1] += " " + word
		} else {
			list = append(list, word)
		}
	}
	return list
}

// TestBackslashesOfInputs: a value in a longer text is put in as Ruby's gsub does it, a whole value as it is.
func TestBackslashesOfInputs(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`v1\.(\+build)?`: `v1\.(build)?`, `a\\b`: `a\b`, `\\+`: `\+`, `[\0]`: `[$[[ inputs.v ]]]`, `[\&]`: `[$[[ inputs.v ]]]`, `a\1b\9c`: `abc`,
		"[\\`]": `[grep ]`, `[\']`: `[ file]`, `\n\d`: `\n\d`, `a\`: `a\`, `\kx`: `\kx`, `it\'s`: `it files`,
	} {
		t.Run(value, func(t *testing.T) {
			project := load(t, pipeline.Options{}, map[string]string{
				".gitlab-ci.yml": "include: [{local: part.yml, inputs: {v: '" + strings.ReplaceAll(value, "'", "''") + "'}}]\n",
				"part.yml":       "spec: {inputs: {v: }}\n---\na: {script: ['grep $[[ inputs.v ]] file', '$[[ inputs.v ]]']}\n",
			})
			script := mustPlan(t, project, pipeline.Event{Source: pipeline.Push}).Job("a").Script
			if script[0] != "grep "+want+" file" || script[1] != value {
				t.Errorf("%s: got %q, want %s", value, script, want)
			}
		})
	}
}
