package lint_test

import (
	"context"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/lint"
	"gitlab.com/slipway-ci/slipway/pipeline/resolver"
)

// A fixture is testdata/RULE.txtar: below bad/ the rule speaks of exactly the lines that end with "# want", below good/ of
// none.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, rule := range lint.Rules() {
		t.Run(rule.ID, func(t *testing.T) {
			t.Parallel()
			for _, kind := range []string{"bad", "good"} {
				t.Run(kind, func(t *testing.T) {
					files := fixture(t, rule.ID, kind)
					want := wanted(files)
					if kind == "bad" && len(want) == 0 {
						t.Errorf("the fixture wants nothing in %s/", kind)
					}
					var got []string
					for _, f := range run(t, files, switchedOn(rule)) {
						if f.Rule != rule.ID {
							continue
						}
						got = append(got, place(f.Position))
						if f.Hint == "" || f.Message == "" || f.Path == "" {
							t.Errorf("%s: a finding has a path, a message and a hint: %+v", place(f.Position), f)
						}
					}
					slices.Sort(got)
					if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
						t.Errorf("%s: places (-want +got):\n%s", kind, diff)
					}
				})
			}
		})
	}
}

func TestGoodFixturesAreValid(t *testing.T) {
	t.Parallel()
	for _, rule := range lint.Rules() {
		// Its fixture names projects that are not there.
		if rule.ID == "include-not-pinned" || rule.ID == "include-policy" {
			continue
		}
		for _, kind := range []string{"good", "bad"} {
			t.Run(rule.ID+"/"+kind, func(t *testing.T) {
				// A fixture of what GitLab refuses as well.
				if kind == "bad" && rule.ID == "unquoted-input-in-rule" {
					return
				}
				for _, f := range run(t, fixture(t, rule.ID, kind), lint.Options{}) {
					if f.Rule == "invalid" {
						t.Errorf("%s/%s: %s: %s: %s", rule.ID, kind, place(f.Position), f.Path, f.Message)
					}
				}
			})
		}
	}
}

func TestRulesAreSortedAndExplained(t *testing.T) {
	t.Parallel()
	rules := lint.Rules()
	if !slices.IsSortedFunc(rules, func(a, b lint.Rule) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("the rules are not sorted by id")
	}
	for _, rule := range rules {
		if rule.Summary == "" || rule.Why == "" {
			t.Errorf("%s: no summary, or no reason", rule.ID)
		}
	}
}

func TestSwitches(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, yaml string
		disable    []string
		want       []string
	}{
		{
			name: "none",
			yaml: "a:\n  image: golang\n  script: [x]\nb:\n  image: golang\n  script: [x]\n",
			want: []string{".gitlab-ci.yml:2", ".gitlab-ci.yml:5"},
		},
		{
			name:    "by option",
			yaml:    "a:\n  image: golang\n  script: [x]\n",
			disable: []string{"image-not-pinned"},
		},
		{
			name: "on the line",
			yaml: "a:\n  image: golang # slipway:disable=image-not-pinned\n  script: [x]\nb:\n  image: golang\n  script: [x]\n",
			want: []string{".gitlab-ci.yml:5"},
		},
		{
			name: "above the line",
			yaml: "a:\n  # slipway:disable=image-not-pinned\n  # because\n  image: golang\n  script: [x]\n",
		},
		{
			name: "for a job",
			yaml: "a: # slipway:disable=secret-echoed,image-not-pinned\n  script: [x]\n\n  image: golang\nb:\n  image: golang\n  script: [x]\n",
			want: []string{".gitlab-ci.yml:6"},
		},
		{
			name: "for a file",
			yaml: "a:\n  image: golang\n  script: [x]\n# slipway:disable-file=image-not-pinned\n",
		},
		{
			name: "another rule",
			yaml: "a:\n  image: golang # slipway:disable=secret-echoed\n  script: [x]\n",
			want: []string{".gitlab-ci.yml:2"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range run(t, configuration(tt.yaml), lint.Options{Disable: tt.disable}) {
				if f.Rule == "image-not-pinned" {
					got = append(got, place(f.Position))
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
		})
	}
}

// Warnings are about the files of the project, whatever their names come from; errors also about those of others.
func TestFilesThatAreLookedAt(t *testing.T) {
	t.Parallel()
	others := fstest.MapFS{
		"platform/ci@v1/deploy.yml": {Data: []byte("e: {image: golang, script: [x]}\n.e: {image: alpine}\n")},
		"platform/ci@v2/deploy.yml": {Data: []byte("e: {image: golang, script: [x], needs: [nothing]}\n.e: {image: alpine}\n")},
	}
	for ref, want := range map[string]string{
		"v1": ".gitlab-ci.yml:9 image-not-pinned; ci/child.yml:1 deprecated-keyword; ci/main.yml:1 image-not-pinned; " +
			"ci/many/one.yml:1 image-not-pinned; ci/plain.yml:1 image-not-pinned",
		"v2": "ci/child.yml:1 deprecated-keyword; platform/ci@v2:deploy.yml:1 invalid",
	} {
		t.Run(ref, func(t *testing.T) {
			files := configuration(`
include:
  - local: ci/$CI_DEFAULT_BRANCH.yml
  - local: /ci/plain.yml
  - local: ci/many/*.yml
  - project: platform/ci
    ref: ` + ref + `
    file: deploy.yml
own: {image: golang, script: [x]}
theirs: {extends: .e, script: [x]}
child: {trigger: {include: ci/child.yml}}
`)
			for name, text := range map[string]string{
				"ci/main.yml":     "a: {image: golang, script: [x]}\n",
				"ci/plain.yml":    "b: {image: golang, script: [x]}\n",
				"ci/many/one.yml": "c: {image: golang, script: [x]}\n",
				"ci/child.yml":    "d: {script: [echo $CI_BUILD_REF]}\n",
			} {
				files[name] = &fstest.MapFile{Data: []byte(text)}
			}
			project, err := pipeline.Load(files, pipeline.Options{Resolver: resolver.Folder{Files: others}})
			if err != nil {
				t.Fatal(err)
			}
			findings, err := lint.Run(t.Context(), files, project, lint.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				got = append(got, place(f.Position)+" "+f.Rule)
			}
			if diff := cmp.Diff(want, strings.Join(got, "; ")); diff != "" {
				t.Errorf("%s: %s", ref, diff)
			}
		})
	}
}

func TestUnknownRuleIsRefused(t *testing.T) {
	t.Parallel()
	files := configuration("a: {script: [x]}\n")
	_, err := lint.Run(t.Context(), files, load(t, files), lint.Options{Disable: []string{"nonsense"}})
	if err == nil || !strings.Contains(err.Error(), `"nonsense"`) {
		t.Errorf("error %v does not name the unknown rule", err)
	}
}

func TestErrorsOfSomeEventsNameThem(t *testing.T) {
	t.Parallel()
	files := configuration(`
build:
  script: [make]
  rules: [{if: $CI_COMMIT_BRANCH}]
deploy:
  needs: [build]
  script: [make deploy]
  rules: [{if: $CI_COMMIT_TAG}, {if: $CI_COMMIT_BRANCH}]
`)
	var errors []lint.Finding
	for _, f := range run(t, files, lint.Options{}) {
		if f.Severity == lint.Error {
			errors = append(errors, f)
		}
	}
	if len(errors) != 1 || errors[0].Path != "jobs:deploy:needs" || len(errors[0].Events) == 0 {
		t.Fatalf("want one error at jobs:deploy:needs with the events that have it, got %+v", errors)
	}
	for _, event := range errors[0].Events {
		if !strings.Contains(event, "tag") {
			t.Errorf("event %q has no tag", event)
		}
	}
}

func TestShellOfTheDefaultRunner(t *testing.T) {
	t.Parallel()
	files := configuration(`
default:
  tags: [windows]
  before_script: ["if (1) { x }"]
a:
  script: ["if (1) { x }"]
b:
  tags: [linux]
  script: ["if (1) { x }"]
`)
	var got []string
	for _, f := range run(t, files, lint.Options{}) {
		if f.Rule == "shell-syntax" {
			got = append(got, f.Path)
		}
	}
	if diff := cmp.Diff([]string{"jobs:b:script"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestErrorOfATemplateIsToldOnce(t *testing.T) {
	t.Parallel()
	files := configuration(`
.base: {when: later}
a: {extends: .base, script: [x]}
b: {extends: .base, script: [x]}
`)
	findings := run(t, files, lint.Options{})
	if len(findings) != 1 || findings[0].Position.Line != 2 || findings[0].Path != "jobs:a:when" {
		t.Errorf("want one error in line 2, got %+v", findings)
	}
}

func TestChildPipelineOfAnotherProjectIsInvalid(t *testing.T) {
	t.Parallel()
	files := configuration("child:\n  trigger:\n    include: [{project: other/ci, ref: v1, file: child.yml}]\n")
	others := fstest.MapFS{"other/ci@v1/child.yml": {Data: []byte("a: {script: [x], stage: nowhere}\n")}}
	project, err := pipeline.Load(files, pipeline.Options{Resolver: resolver.Chain{resolver.Folder{Files: others}}})
	if err != nil {
		t.Fatal(err)
	}
	findings, err := lint.Run(t.Context(), files, project, lint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		if f.Rule == "child-pipeline-invalid" && f.Position.Line == 2 && strings.Contains(f.Message, "other/ci@v1:child.yml:1: there is no stage") {
			return
		}
	}
	t.Errorf("no error at the trigger, but %+v", findings)
}

func TestRunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	files := configuration("a: {script: [x]}\n")
	if findings, err := lint.Run(ctx, files, load(t, files), lint.Options{}); err == nil {
		t.Errorf("a cancelled run has found %v", findings)
	}
}

// FuzzRun looks for files that make a rule panic.
func FuzzRun(f *testing.F) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(string(file.Data))
		}
	}
	f.Add("a: &a {<<: *a, script: *a}\n")
	f.Fuzz(func(t *testing.T, text string) {
		files := fstest.MapFS{
			".gitlab-ci.yml":  {Data: []byte(text)},
			"templates/x.yml": {Data: []byte(text)},
		}
		project, err := pipeline.Load(files, pipeline.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lint.Run(t.Context(), files, project, lint.Options{}); err != nil {
			t.Fatal(err)
		}
	})
}

func configuration(text string) fstest.MapFS {
	return fstest.MapFS{".gitlab-ci.yml": {Data: []byte(text)}}
}

func fixture(t *testing.T, rule, kind string) fstest.MapFS {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", rule+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, f := range archive.Files {
		if name, ok := strings.CutPrefix(f.Name, kind+"/"); ok {
			files[name] = &fstest.MapFile{Data: f.Data}
		}
	}
	if len(files) == 0 {
		t.Fatalf("%s has no files below %s/", rule, kind)
	}
	return files
}

func wanted(files fstest.MapFS) []string {
	var places []string
	for name, file := range files {
		for i, line := range strings.Split(string(file.Data), "\n") {
			if strings.HasSuffix(line, "# want") {
				places = append(places, place(pipeline.Position{File: name, Line: i + 1}))
			}
		}
	}
	slices.Sort(places)
	return places
}

func place(p pipeline.Position) string { return p.String() }

// switchedOn returns options with which a rule is checked that is off by default.
func switchedOn(rule lint.Rule) lint.Options {
	if rule.Severity != lint.Off {
		return lint.Options{}
	}
	return lint.Options{Settings: lint.Settings{Rules: map[string]lint.Severity{rule.ID: lint.Warning}}}
}

func load(t *testing.T, files fs.FS) *pipeline.Project {
	t.Helper()
	project, err := pipeline.Load(files, pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func run(t *testing.T, files fs.FS, options lint.Options) []lint.Finding {
	t.Helper()
	if text, err := fs.ReadFile(files, ".slipway.yml"); err == nil {
		var file struct {
			Lint lint.Settings `yaml:"lint"`
		}
		if err := yaml.Unmarshal(text, &file); err != nil {
			t.Fatal(err)
		}
		file.Lint.Rules = options.Settings.Rules
		options.Settings = file.Lint
	}
	findings, err := lint.Run(t.Context(), files, load(t, files), options)
	if err != nil {
		t.Fatal(err)
	}
	return findings
}
