package pipeline_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
	"gitlab.com/slipway-ci/slipway/pipeline/resolver"
)

const withMissingParts = `
include:
  - project: platform/ci
    ref: v1
    file: go.yml
  - component: $CI_SERVER_FQDN/platform/lint/go@1
  - template: Jobs/SAST.gitlab-ci.yml
  - remote: https://ci.example.invalid/a.yml
.base:
  image: golang:1.27.4
unit:
  extends: [.platform-go, .base]
  before_script:
    - !reference [.platform-go, before_script]
  script: [go test ./...]
  rules: !reference [.platform-rules, rules]
sast:
  stage: test
scan:
  needs: [unit, sast]
  script: [make scan]
deploy:
  extends: .platform-go
  needs: [{job: package, artifacts: true}, {job: scan}]
  script: [make deploy]
matrix:
  needs: ["build: [a]"]
  script: [x]
build:
  parallel: {matrix: [{A: [a, b]}]}
  script: [x]
`

func TestMissingIncludesAreErrors(t *testing.T) {
	t.Parallel()
	project := load(t, pipeline.Options{}, map[string]string{".gitlab-ci.yml": withMissingParts})
	_, err := project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		".gitlab-ci.yml:3:14: include: the project platform/ci at v1 is unavailable",
		".gitlab-ci.yml:6:16: include: the project platform/lint is unavailable",
		".gitlab-ci.yml:7:15: include: the template Jobs/SAST.gitlab-ci.yml is unavailable",
		".gitlab-ci.yml:8:13: include: https://ci.example.invalid/a.yml is unavailable",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestSkipMissing(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var left []string
	options := pipeline.Options{SkipMissing: func(e *pipeline.Error) bool {
		mu.Lock()
		defer mu.Unlock()
		left = append(left, e.Path+": "+e.Message)
		return true
	}}
	project := load(t, options, map[string]string{".gitlab-ci.yml": withMissingParts})
	plan, err := project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if err != nil {
		t.Fatal(err)
	}
	var jobs []string
	for _, job := range plan.Jobs {
		line := job.Name
		if job.Image != nil {
			line += " in " + job.Image.Name
		}
		for _, need := range job.Needs {
			line += " after " + need.Job
		}
		jobs = append(jobs, line)
	}
	slices.Sort(jobs)
	wantJobs := []string{"build: [a]", "build: [b]", "deploy after scan", "matrix after build: [a]", "scan after unit", "unit in golang:1.27.4"}
	if diff := cmp.Diff(wantJobs, jobs); diff != "" {
		t.Error(diff)
	}
	wantLeft := []string{
		"include: the project platform/ci at v1 is unavailable",
		"include: the project platform/lint is unavailable",
		"include: the template Jobs/SAST.gitlab-ci.yml is unavailable",
		"include: https://ci.example.invalid/a.yml is unavailable",
		"jobs:unit:extends: the job .platform-go is unavailable",
		"jobs:deploy:extends: the job .platform-go is unavailable",
		"jobs:unit:before_script: !reference [.platform-go, before_script] is unavailable",
		"jobs:unit:rules: !reference [.platform-rules, rules] is unavailable",
		"jobs:sast: the script of the job sast is unavailable",
		"jobs:scan:needs: the job sast is unavailable",
		"jobs:deploy:needs: the job package is unavailable",
	}
	if diff := cmp.Diff(wantLeft, left); diff != "" {
		t.Error(diff)
	}
}

func TestSkipMissingLeavesOutWhatRefersToIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		config string
		left   []string
		want   string
	}{
		"references that are all of a list": {
			"a: {script: [!reference [.gone, script]]}\nb: {script: [x], rules: [!reference [.gone, rules]]}\n",
			[]string{"jobs:a:script: !reference [.gone, script]", "jobs:b:rules: !reference [.gone, rules]", "jobs:a: the script of the job a"},
			`[{"name":"b","script":["x"],"stage":"test"}]`,
		},
		"references outside of jobs": {
			"default: {before_script: [!reference [.gone, script]]}\nworkflow: {rules: [!reference [.gone, rules]]}\na: {script: [x]}\n",
			[]string{"default:before_script: !reference [.gone, script]", "workflow:rules: !reference [.gone, rules]"},
			`[{"name":"a","script":["x"],"stage":"test"}]`,
		},
		"a reference to a reference": {
			".b: {script: !reference [.gone, script]}\na: {script: [x, !reference [.b, script]]}\n",
			[]string{"jobs:.b:script: !reference [.gone, script]", "jobs:a:script: !reference [.b, script]"},
			`[{"name":"a","script":["x"],"stage":"test"}]`,
		},
		"names of jobs": {
			"a: {script: [x], dependencies: [gone], environment: {name: e, on_stop: gone}, rules: [{if: $CI, needs: [gone]}]}\n",
			[]string{"jobs:a:dependencies: the job gone", "jobs:a:environment:on_stop: the job gone", "jobs:a:rules:needs: the job gone"},
			`[{"dependencies":[],"environment":{"name":"e"},"name":"a","script":["x"],"stage":"test"}]`,
		},
		"stages": {
			"a: {script: [x], stage: lint}\nb: {script: [x]}\nc: {script: [x], stage: .post}\n",
			[]string{"jobs:a:stage: the position of the stage lint"},
			`[{"name":"b","script":["x"],"stage":"test"},{"name":"a","script":["x"],"stage":"lint"},{"name":"c","script":["x"],"stage":".post"}]`,
		},
		"a job that mirrors a pipeline": {
			"a: {needs: {pipeline: other/project}}\n", nil, `[{"name":"a","stage":"test"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var left []string
			options := pipeline.Options{SkipMissing: func(e *pipeline.Error) bool {
				if e.Path != "include" {
					left = append(left, e.Path+": "+strings.TrimSuffix(e.Message, " is unavailable"))
				}
				return true
			}}
			config := "include: [{project: a/b, file: c.yml}]\n" + test.config
			plan := mustPlan(t, load(t, options, map[string]string{".gitlab-ci.yml": config}), pipeline.Event{Source: pipeline.Push, Branch: "main"})
			jobs, err := json.Marshal(render.GitLabJobs(plan.Jobs))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(jobs)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.left, left); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Without a missing include, a typo stays an error.
func TestSkipMissingKeepsErrors(t *testing.T) {
	t.Parallel()
	options := pipeline.Options{SkipMissing: func(*pipeline.Error) bool { return true }}
	for name, config := range map[string]string{
		"extends": "unit: {extends: .bse, script: [x]}\n.base: {image: a}\n",
		"needs":   "unit: {script: [x], needs: [biuld]}\nbuild: {script: [x]}\n",
		"keyword": "unit: {scripts: [x]}\n",
		"include": "include: ci/nowhere.yml\nunit: {script: [x]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			project := load(t, options, map[string]string{".gitlab-ci.yml": config})
			if _, err := project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"}); err == nil {
				t.Errorf("accepted:\n%s", config)
			}
		})
	}
}

func TestSkipMissingOfAChildPipeline(t *testing.T) {
	t.Parallel()
	files := map[string]string{".gitlab-ci.yml": "child: {trigger: {include: [{project: a/b, file: c.yml}]}}\n"}
	for _, skip := range []bool{false, true} {
		t.Run(fmt.Sprintf("skip %t", skip), func(t *testing.T) {
			options := pipeline.Options{}
			if skip {
				options.SkipMissing = func(*pipeline.Error) bool { return true }
			}
			plan, err := load(t, options, files).Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
			if err != nil {
				t.Fatal(err)
			}
			trigger := plan.Job("child").Trigger
			if wrong := (pipeline.Errors)(nil); trigger.Child != nil || errors.As(trigger.ChildError(), &wrong) == skip {
				t.Errorf("skip %v: %v, %v", skip, trigger.Child, trigger.ChildError())
			}
		})
	}
}

// Each configuration is fine on GitLab, which has what is skipped here.
func TestSkipMissingRefusesNothingThatMayBeFine(t *testing.T) {
	t.Parallel()
	const project = "include: [{project: a/b, file: c.yml}]\n"
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a component of another host": {
			map[string]string{".gitlab-ci.yml": "include: [{component: gitlab.com/acme-corp/ci/go@1.0.0}]\nj: {script: [x]}\n"},
			`[{"name":"j","script":["x"],"stage":"test"}]`,
		},
		"a component of another host with a partial version": {
			map[string]string{".gitlab-ci.yml": "include: [{component: gitlab.com/acme-corp/ci/go@~latest}, {component: gitlab.com/acme-corp/ci/go@1}]\nj: {script: [x]}\n"},
			`[{"name":"j","script":["x"],"stage":"test"}]`,
		},
		"a file with nothing but a skipped include": {
			map[string]string{".gitlab-ci.yml": "include: [more.yml]\nj: {script: [x]}\n", "more.yml": "include: [deep.yml]\n", "deep.yml": project},
			`[{"name":"j","script":["x"],"stage":"test"}]`,
		},
		"a configuration with nothing but skipped includes": {
			map[string]string{".gitlab-ci.yml": project}, `none: no_jobs`,
		},
		"a configuration with nothing but a skipped template": {
			map[string]string{".gitlab-ci.yml": "include: [{template: a.yml}]\n.hidden: {image: x}\n"}, `none: no_jobs`,
		},
		"a configuration whose jobs are all incomplete": {
			map[string]string{".gitlab-ci.yml": project + "sast: {stage: test}\n"}, `none: no_jobs`,
		},
		"the default stage": {
			map[string]string{".gitlab-ci.yml": project + "stages: [check, build]\nj: {extends: .check_template, script: [x]}\nk: {stage: build, script: [y]}\n"},
			`[{"name":"k","script":["y"],"stage":"build"},{"name":"j","script":["x"],"stage":"test"}]`,
		},
		"a need of a job whose stage is unknown": {
			map[string]string{".gitlab-ci.yml": project + "stages: [build]\nj: {extends: .t, script: [x]}\nk: {stage: build, needs: [j], script: [y]}\nl: {stage: build, dependencies: [j], script: [y]}\n"},
			`[{"name":"k","needs":["j"],"script":["y"],"stage":"build"},{"dependencies":["j"],"name":"l","script":["y"],"stage":"build"},{"name":"j","script":["x"],"stage":"test"}]`,
		},
		"a job that stops an environment of a template": {
			map[string]string{".gitlab-ci.yml": project + "stop: {extends: .stop, script: [x]}\ndeploy: {script: [x], environment: {name: e, on_stop: stop}}\n"},
			`[{"name":"stop","script":["x"],"stage":"test"},{"environment":{"name":"e"},"name":"deploy","script":["x"],"stage":"test"}]`,
		},
		"an image without its name": {
			map[string]string{".gitlab-ci.yml": project + "j: {script: [x], image: {name: !reference [.gone, image], entrypoint: [\"\"]}, environment: {name: !reference [.gone, e], action: stop}}\n"},
			`[{"name":"j","script":["x"],"stage":"test"}]`,
		},
		"files of a project that is unavailable": {
			map[string]string{".gitlab-ci.yml": "j: {script: [x], rules: [{exists: {paths: [a], project: a/b}}, {when: always}]}\n"},
			`[{"name":"j","script":["x"],"stage":"test","when":"always"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			project := load(t, pipeline.Options{SkipMissing: func(*pipeline.Error) bool { return true }}, test.files)
			for range 2 { // the second one finds what the first one has cached
				plan := mustPlan(t, project, pipeline.Event{Source: pipeline.Push, Branch: "main"})
				got := "none: " + plan.Reason
				if plan.Created {
					jobs, err := json.Marshal(render.GitLabJobs(plan.Jobs))
					if err != nil {
						t.Fatal(err)
					}
					got = string(jobs)
				}
				if diff := cmp.Diff(test.want, got); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestAProjectThatIsUnavailableIsOneError(t *testing.T) {
	t.Parallel()
	hints := map[pipeline.Code]string{pipeline.ProjectUnavailable: "get it", pipeline.ForeignComponent: "name the host"}
	project := load(t, pipeline.Options{Hints: hints}, map[string]string{".gitlab-ci.yml": `
include:
  - {project: a/b, file: [c.yml, d.yml]}
  - {project: a/b, file: e.yml}
  - {project: a/b, ref: v1, file: e.yml}
  - {local: more.yml}
  - {component: gitlab.com/a/b/c@1.0.0}
j: {script: [x], extends: .gone}
`, "more.yml": "include: [{project: a/b, file: c.yml}]\n.x: {}\n"})
	_, err := project.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
	var wrong pipeline.Errors
	if !errors.As(err, &wrong) {
		t.Fatal(err)
	}
	want := []string{
		".gitlab-ci.yml:3:15: include: the project a/b is unavailable (get it)",
		".gitlab-ci.yml:5:15: include: the project a/b at v1 is unavailable (get it)",
		".gitlab-ci.yml:7:17: include: the component gitlab.com/a/b/c is not one of gitlab.example.com (name the host)",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
	if wrong[0].Code != pipeline.ProjectUnavailable || wrong[2].Code != pipeline.ForeignComponent {
		t.Errorf("codes %q and %q", wrong[0].Code, wrong[2].Code)
	}
}

func TestPathsOfProjectsIgnoreCase(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"Acme/CI", "acme/ci"} {
		t.Run(folder, func(t *testing.T) {
			files := fstest.MapFS{
				folder + "/c.yml":           {Data: []byte("c: {script: [x]}\n")},
				folder + "/templates/t.yml": {Data: []byte("t: {script: [x]}\n")},
			}
			project := load(t, pipeline.Options{Resolver: resolver.Folder{Files: files}}, map[string]string{
				".gitlab-ci.yml": "include: [{project: Acme/CI, file: c.yml}, {component: $CI_SERVER_FQDN/Acme/CI/t@v1}]\n",
			})
			plan := mustPlan(t, project, pipeline.Event{Source: pipeline.Push, Branch: "main"})
			if plan.Job("c") == nil || plan.Job("t") == nil {
				t.Errorf("%s: %+v", folder, plan.Jobs)
			}
		})
	}
}
