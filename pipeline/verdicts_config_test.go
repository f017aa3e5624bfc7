package pipeline_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// A verdictTest is a configuration, maybe with other files behind "-- name --", and the verdict on a push to main.
type verdictTest struct {
	name   string
	config string
	want   string
}

func testVerdicts(t *testing.T, tests []verdictTest) {
	t.Helper()
	t.Parallel()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			archive := txtar.Parse([]byte(strings.TrimPrefix(test.config, "\n")))
			files := map[string]string{}
			if len(archive.Comment) > 0 {
				files[".gitlab-ci.yml"] = string(archive.Comment)
			}
			for _, f := range archive.Files {
				files[f.Name] = string(f.Data)
			}
			if diff := cmp.Diff(test.want, verdictOn(t, pipeline.Event{Source: pipeline.Push, Branch: "main"}, files)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// unitSays is the verdict on one job of one command.
func unitSays(command string) string {
	return `[{"name":"unit","script":["` + command + `"],"stage":"test"}]`
}

func TestVerdictsOnInputs(t *testing.T) {
	testVerdicts(t, []verdictTest{
		{"an input whose type is empty", `
spec: {inputs: {a: {type: null, default: x}}}
---
unit: {script: [x]}
`, "inputs:a"},
		{"an input called true", `
spec: {inputs: {true: {default: x}}}
---
unit: {script: [x]}
`, "spec:inputs:true"},
		{"a number is a name, but nothing can ask for it", `
spec: {inputs: {1: {default: x}}}
---
unit: {script: ["$[[ inputs.1 ]]"]}
`, "interpolation"},
		{"empty rules say nothing", `
include: [{local: a.yml, inputs: {a: b}}]
-- a.yml --
spec: {inputs: {a: {rules: []}}}
---
unit: {script: ["$[[ inputs.a ]]"]}
`, unitSays("b")},
		{"empty rules have no default", `
spec: {inputs: {a: {rules: []}}}
---
unit: {script: [x]}
`, "inputs:a"},
		{"a rule without a default", `
spec: {inputs: {a: {rules: [{options: [x]}]}}}
---
unit: {script: [x]}
`, "inputs:a"},
		{"a rule asks for an input that nobody declares", `
spec: {inputs: {a: {rules: [{if: '$[[ inputs.b ]] == "x"', default: x}, {default: y}]}}}
---
unit: {script: ["$[[ inputs.a ]]"]}
`, unitSays("y")},
		{"rules that ask for each other see what comes before", `
spec:
  inputs:
    a: {rules: [{if: '$[[ inputs.b ]] == null', default: first}, {default: second}]}
    b: {rules: [{if: '$[[ inputs.a ]] == "first"', default: x}, {default: y}]}
---
unit: {script: ["$[[ inputs.a ]] $[[ inputs.b ]]"]}
`, unitSays("first x")},
		{"a pipe at the end of a block", `
spec: {inputs: {a: {default: x}}}
---
unit: {script: ["$[[ inputs.a | ]]"]}
`, unitSays("x")},
		{"truncate without its closing parenthesis", `
spec: {inputs: {a: {default: abcdef}}}
---
unit: {script: ["$[[ inputs.a | truncate(1,3 ]]"]}
`, unitSays("bcd")},
		{"inputs of other files as one path", `
spec: {include: inputs.yml}
---
unit: {script: ["$[[ inputs.a ]]"]}
-- inputs.yml --
inputs: {a: {default: x}}
`, unitSays("x")},
		{"inputs of other files as a hash", `
spec: {include: {local: inputs.yml}}
---
unit: {script: [x]}
-- inputs.yml --
inputs: {a: {default: x}}
`, "spec:include"},
		{"inputs of other files have no rules", `
spec: {include: [{local: inputs.yml, rules: [{if: $CI}]}]}
---
unit: {script: [x]}
-- inputs.yml --
inputs: {a: {default: x}}
`, "spec:include"},
	})
}

func TestVerdictsOnIncludes(t *testing.T) {
	testVerdicts(t, []verdictTest{
		{"a file that only includes what its rules leave out", `
include: [a.yml]
unit: {script: [x]}
-- a.yml --
include: [{local: b.yml, rules: [{if: $NOPE}]}]
`, unitSays("x")},
		{"an entry that its rules leave out is validated if nothing else is included", `
include: [{local: a.yml, branch: main, rules: [{if: $NOPE}]}]
unit: {script: [x]}
`, "include"},
		{"the first file with an error is named first", `
include: [a.yml, gone.yml]
unit: {script: [x]}
-- a.yml --
spec: {inputs: {a: {}}}
---
other: {script: [x]}
`, "inputs:a"},
		{"an empty entry says nothing", `
include: [null]
unit: {script: [x]}
`, unitSays("x")},
		{"an empty entry of a child's include says nothing", `
unit: {trigger: {include: [null, {local: a.yml}]}}
-- a.yml --
other: {script: [x]}
`, `[{"name":"unit","stage":"test","trigger":{"include":[null,{"local":"a.yml"}]}}]`},
		{"a mapping in the default of an array is put into text as Ruby writes it", `
include: a.yml
-- a.yml --
spec: {inputs: {a: {type: array, default: [{a-b: '#{c}', 1: ~}, "\e"]}}}
---
unit: {script: ["x $[[ inputs.a ]]"]}
`, unitSays(`x [{:\"a-b\"=\u003e\"\\#{c}\", 1=\u003enil}, \"\\e\"]`)},
		{"a project without a file", `
include: [{project: platform/ci}]
unit: {script: [x]}
`, "include"},
		{"a project without a file beside another include", `
include: [{project: platform/ci}, a.yml]
-- a.yml --
unit: {script: [x]}
`, unitSays("x")},
	})
}

func TestIncludesDoNotSeeThatThePipelineIsTriggered(t *testing.T) {
	t.Parallel()
	got := verdictOn(t, pipeline.Event{Source: pipeline.Trigger, Branch: "main"}, map[string]string{
		".gitlab-ci.yml": "include: [{local: a.yml, rules: [{if: $CI_PIPELINE_TRIGGERED}]}]\n" +
			"unit: {script: [x], rules: [{if: $CI_PIPELINE_TRIGGERED}]}\n",
		"a.yml": "other: {script: [x]}\n",
	})
	if diff := cmp.Diff(unitSays("x"), got); diff != "" {
		t.Error(diff)
	}
}

func TestVerdictsOnVariables(t *testing.T) {
	testVerdicts(t, []verdictTest{
		{"a variable of a rule without a value", `unit: {script: [x], rules: [{if: $CI, variables: {A: null}}]}`,
			"jobs:unit:rules:variables:A"},
		{"a variable called true", `
variables: {true: null}
unit: {script: [x]}
`, "variables:true"},
		{"a variable over a predefined one that it uses", `
variables: {CI_PROJECT_NAME: "my-${CI_PROJECT_NAME}"}
unit: {script: [x], resource_group: $CI_PROJECT_NAME}
`, `[{"name":"unit","resource_group":"my-app","script":["x"],"stage":"test","variables":{"CI_PROJECT_NAME":"my-${CI_PROJECT_NAME}"}}]`},
		{"an environment whose name comes to nothing", `unit: {script: [x], environment: $NOPE}`,
			`[{"environment":{"name":""},"name":"unit","script":["x"],"stage":"test"}]`},
	})
}

func TestAVariableThatUsesItsNameBeatsTheStrongerOnesOfTheName(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{Variables: []pipeline.Variable{{Key: "A", Value: "project"}}}, map[string]string{
		".gitlab-ci.yml": "unit: {script: [x], variables: {A: $A-job, B: $A}, resource_group: $B}\n",
	})
	plan := mustPlan(t, project, pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if got := plan.Jobs[0].ResourceGroup; got != "project-job" {
		t.Error(got)
	}
}

func TestVerdictsOnKeys(t *testing.T) {
	testVerdicts(t, []verdictTest{
		{"a hidden job without a value", ".tpl:\nunit: {script: [x]}\n", "jobs:.tpl"},
		{"a token without a value", `unit: {script: [x], id_tokens: {TOKEN: null}}`, "jobs:unit:id_tokens:TOKEN"},
	})
}

// GitLab's YAML parser makes symbols of words after a colon. Its older checks take them for strings, the others do not.
func TestVerdictsOnSymbols(t *testing.T) {
	testVerdicts(t, []verdictTest{
		{"a stage", "stages: [build]\nunit:\n  stage: :build\n  script: [x]\n", "jobs:unit:stage"},
		{"a name in stages is that of no job", "stages:\n  - :build\nunit: {stage: build, script: [x]}\n", "jobs:unit:stage"},
		{"a command", "unit:\n  script:\n    - :x\n", unitSays("x")},
		{"an image", "unit:\n  image: :x\n  script: [x]\n", "jobs:unit:image"},
		{"when", "unit:\n  when: :always\n  script: [x]\n", "jobs:unit:when"},
		{"a timeout", "unit:\n  timeout: :1h\n  script: [x]\n", "jobs:unit:timeout"},
		{"a condition", "unit:\n  rules:\n    - if: :x\n  script: [x]\n", "jobs:unit:rules:if"},
		{"a name in quotes is none", "unit: {image: \":x\", script: [x]}\n", `[{"image":":x","name":"unit","script":["x"],"stage":"test"}]`},
	})
}
