package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A field is a GitLab with projects, as far as clones can tell: folders with bare repositories, which git reaches by the
// addresses of a server because its settings say so.
type field struct {
	t        *testing.T
	server   string
	settings string
}

const fieldHost = "gitlab.acme.test"

func newField(t *testing.T) *field {
	t.Helper()
	f := &field{t: t, server: t.TempDir(), settings: filepath.Join(t.TempDir(), "gitconfig")}
	fill(t, f.settings, []byte("[user]\nname = Ada\nemail = ada@example.com\n[protocol \"file\"]\nallow = always\n[init]\ndefaultBranch = main\n"))
	t.Setenv("GIT_CONFIG_GLOBAL", f.settings)
	t.Setenv("GIT_CONFIG_SYSTEM", os.DevNull)
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	t.Setenv("GIT_TERMINAL_PROMPT", "0")
	f.reach("https://"+fieldHost+"/", "git@"+fieldHost+":", "ssh://git@"+fieldHost+"/", "https://GitLab.Acme.test/")
	return f
}

// reach lets git find the server's repositories by addresses that begin so.
func (f *field) reach(prefixes ...string) {
	f.t.Helper()
	for _, prefix := range prefixes {
		f.git(f.server, "config", "--global", "--add", "url.file://"+filepath.ToSlash(f.server)+"/.insteadOf", prefix)
	}
}

func (f *field) git(dir string, args ...string) string {
	f.t.Helper()
	return runGitEnv(f.t, dir, os.Environ(), args...)
}

// write fills files of a folder: names and contents by turns.
func (f *field) write(dir string, files ...string) {
	f.t.Helper()
	for i := 0; i+1 < len(files); i += 2 {
		fill(f.t, filepath.Join(dir, files[i]), []byte(files[i+1]))
	}
}

func (f *field) commit(dir string, files ...string) string {
	f.t.Helper()
	f.write(dir, files...)
	f.git(dir, "add", "--all")
	f.git(dir, "commit", "--quiet", "--allow-empty", "--message=Change")
	return f.git(dir, "rev-parse", "HEAD")
}

// publish makes a project on the server with a commit on its default branch, and returns a work tree that pushes to it.
func (f *field) publish(path, branch string, files ...string) string {
	f.t.Helper()
	bare, work := filepath.Join(f.server, path+".git"), f.t.TempDir()
	f.git(f.server, "init", "--quiet", "--bare", "--initial-branch="+branch, bare)
	f.git(work, "init", "--quiet", "--initial-branch="+branch)
	f.git(work, "remote", "add", "origin", bare)
	f.commit(work, files...)
	f.git(work, "push", "--quiet", "origin", branch)
	return work
}

// clone clones from an address, and returns the folder.
func (f *field) clone(address string, args ...string) string {
	f.t.Helper()
	dir := filepath.Join(f.t.TempDir(), "clone")
	f.git(f.server, slices.Concat([]string{"clone", "--quiet"}, args, []string{address, dir})...)
	return dir
}

// Real projects get the event and the jobs that GitLab gives them, by `slipway plan` in their clone, without a flag.
func TestProjectsOfTheField(t *testing.T) {
	for _, c := range []struct {
		trait string
		clone func(f *field) string // returns the folder that people work in
		want  string                // source, ref, jobs
	}{
		{"another default branch", otherDefaultBranch, "push develop: build release"},
		{"subgroup, and a template project beside it", subgroup, "push main: shared root-acme"},
		{"GitLab's templates", templates, "push main: template-job own"},
		{"components", components, "push feature: lint-1.2.0 own"},
		{"child pipelines", children, "push main: generate children"},
		{"shallow clone with uncommitted files", shallow, "push topic: docs"},
		{"detached in a job for a tag", detached, "push v1.0.0: publish"},
		{"submodules", submodules, "push main: bump"},
		{"subfolder of a monorepo", monorepo, "push topic: api always"},
		{"CRLF", crlf, "push main: included folded"},
		{"capitals", capitals, "push Feature/ABC: shared review"},
		{"no origin", noOrigin, "push trunk: release docs"},
	} {
		t.Run(c.trait, func(t *testing.T) {
			f := newField(t)
			t.Chdir(c.clone(f))
			code, stdout, stderr := command(t, "plan", "--format", "json")
			var plan struct {
				Event struct{ Source, Branch, Tag string }
				Jobs  []struct{ Name string }
			}
			if err := json.Unmarshal([]byte(stdout), &plan); code != 0 || err != nil {
				t.Fatalf("%d %v\n%s%s", code, err, stdout, stderr)
			}
			var jobs []string
			for _, job := range plan.Jobs {
				jobs = append(jobs, job.Name)
			}
			got := fmt.Sprintf("%s %s%s: %s", plan.Event.Source, plan.Event.Branch, plan.Event.Tag, strings.Join(jobs, " "))
			if got != c.want {
				t.Errorf("%s\nwant %s\n%s%s", got, c.want, stderr, stdout)
			}
		})
	}
}

// The default branch is develop, though there is a main; it is protected.
func otherDefaultBranch(f *field) string {
	work := f.publish("acme/app", "develop", ".gitlab-ci.yml", `
build: {script: [x]}
release: {script: [x], rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $CI_COMMIT_REF_PROTECTED == "true"}]}
hotfix: {script: [x], rules: [{if: $CI_COMMIT_BRANCH == "main"}]}
`)
	f.git(work, "push", "--quiet", "origin", "develop:main")
	return f.clone("https://" + fieldHost + "/acme/app.git")
}

func subgroup(f *field) string {
	f.publish("acme/platform/ci", "main", "go.yml", "shared: {script: [x], rules: [{if: $CI_PROJECT_NAMESPACE == 'acme/platform/tools'}]}\n")
	f.publish("acme/platform/tools/app", "main", ".gitlab-ci.yml", `
include: [{project: acme/platform/ci, file: go.yml}]
root-acme: {script: [x], rules: [{if: $CI_PROJECT_ROOT_NAMESPACE == "acme" && $CI_PROJECT_PATH_SLUG == "acme-platform-tools-app"}]}
other-host: {script: [x], rules: [{if: $CI_SERVER_HOST != "gitlab.acme.test"}]}
`)
	return f.clone("git@" + fieldHost + ":acme/platform/tools/app.git")
}

func templates(f *field) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/api/v4/templates/gitlab_ci_ymls/Jobs%2FThing" {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"name": "Jobs/Thing", "content": "template-job: {script: [x]}\n"})
	}))
	f.t.Cleanup(server.Close)
	f.reach(server.URL + "/")
	f.publish("acme/app", "main", ".gitlab-ci.yml", "include: [{template: Jobs/Thing.gitlab-ci.yml}]\nown: {script: [x]}\n")
	return f.clone(server.URL + "/acme/app.git")
}

// Of the component's versions, @1 is the newest 1.x. The branch is not on the server yet.
func components(f *field) string {
	work := f.publish("acme/go-component", "main", "README.md", "")
	for _, version := range []string{"1.0.0", "1.2.0", "2.0.0"} {
		f.commit(work, "templates/lint.yml", "spec: {inputs: {prefix: {}}}\n---\n\"$[[ inputs.prefix ]]-"+version+"\": {script: [x]}\n")
		f.git(work, "tag", version)
	}
	f.git(work, "push", "--quiet", "--tags", "origin", "main")
	f.publish("acme/app", "main", ".gitlab-ci.yml", `
include: [{component: $CI_SERVER_FQDN/acme/go-component/lint@1, inputs: {prefix: lint}}]
own: {script: [x], rules: [{if: $CI_COMMIT_BEFORE_SHA =~ /^0+$/}]}
default-only: {script: [x], rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]}
`)
	dir := f.clone("https://" + fieldHost + "/acme/app.git")
	f.git(dir, "switch", "--quiet", "--create", "feature")
	return dir
}

func children(f *field) string {
	f.publish("acme/app", "main", ".gitlab-ci.yml", `
stages: [prepare, start]
generate: {stage: prepare, script: [x], artifacts: {paths: [x.yml]}}
children: {stage: start, trigger: {include: [{local: ci/child.yml}], strategy: depend}}
`, "ci/child.yml", "below: {script: [x], rules: [{if: $CI_PIPELINE_SOURCE == 'parent_pipeline'}]}\n")
	return f.clone("https://" + fieldHost + "/acme/app.git")
}

// A clone of one commit of one branch, which is not the default branch: what is not committed is all that is known to change.
func shallow(f *field) string {
	work := f.publish("acme/app", "master", ".gitlab-ci.yml", `
docs: {script: [x], rules: [{changes: [docs/**/*]}]}
code: {script: [x], rules: [{changes: ["**/*.go"]}]}
production: {script: [x], rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}, {if: $CI_COMMIT_REF_PROTECTED == "true"}]}
`, "docs/a.md", "one", "main.go", "one")
	f.git(work, "switch", "--quiet", "--create", "topic")
	f.commit(work, "main.go", "two")
	f.git(work, "push", "--quiet", "origin", "topic")
	dir := f.clone("https://"+fieldHost+"/acme/app.git", "--depth=1", "--branch=topic")
	f.write(dir, "docs/b.md", "new")
	return dir
}

// GitLab's runner checks a commit out without a branch; the job's variables say what it is.
func detached(f *field) string {
	work := f.publish("acme/app", "main", ".gitlab-ci.yml", `
publish: {script: [x], rules: [{if: $CI_COMMIT_TAG =~ /^v\d/ && $CI_COMMIT_REF_PROTECTED == "true"}]}
branch: {script: [x], rules: [{if: $CI_COMMIT_BRANCH}]}
`)
	f.git(work, "tag", "v1.0.0")
	f.git(work, "push", "--quiet", "--tags", "origin")
	dir := f.clone("https://"+fieldHost+"/acme/app.git", "--branch=v1.0.0")
	for name, value := range map[string]string{
		"CI_COMMIT_SHA": f.git(dir, "rev-parse", "HEAD"), "CI_COMMIT_TAG": "v1.0.0", "CI_COMMIT_REF_PROTECTED": "true", "CI_PIPELINE_SOURCE": "push",
		"CI_PROJECT_PATH": "acme/app", "CI_SERVER_HOST": fieldHost, "CI_DEFAULT_BRANCH": "main",
	} {
		if err := os.Setenv(name, value); err != nil { //nolint:usetesting // t.Setenv asks for the value of before: see leaveJob
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() { _ = os.Unsetenv(name) })
	}
	return dir
}

// The commit that is not pushed moves the submodule; a file that was written in it does not count.
func submodules(f *field) string {
	library := f.publish("acme/library", "main", "lib.go", "one")
	work := f.publish("acme/app", "main", ".gitlab-ci.yml", `
bump: {script: [x], rules: [{changes: [libs/common]}]}
inside: {script: [x], rules: [{changes: [libs/common/**/*]}]}
code: {script: [x], rules: [{changes: ["*.go"]}]}
`, "main.go", "one")
	f.git(work, "submodule", "--quiet", "add", "https://"+fieldHost+"/acme/library.git", "libs/common")
	f.commit(work)
	f.git(work, "push", "--quiet", "origin", "main")
	f.commit(library, "lib.go", "two")
	f.git(library, "push", "--quiet", "origin", "main")
	dir := f.clone("https://"+fieldHost+"/acme/app.git", "--recurse-submodules")
	f.git(filepath.Join(dir, "libs/common"), "pull", "--quiet", "origin", "main")
	f.commit(dir)
	f.write(dir, "libs/common/new.go", "")
	return dir
}

// People work in the folder of a service; the configuration is that of the top, and so are the paths of changes.
func monorepo(f *field) string {
	f.publish("acme/mono", "main", ".gitlab-ci.yml", `
include: [{local: "services/*/ci.yml"}]
always: {script: [x]}
`, "services/api/ci.yml", "api: {script: [x], rules: [{changes: [services/api/**/*]}]}\n",
		"services/web/ci.yml", "web: {script: [x], rules: [{changes: [services/web/**/*]}]}\n", "services/api/main.go", "one")
	dir := f.clone("https://" + fieldHost + "/acme/mono.git")
	f.git(dir, "switch", "--quiet", "--create", "topic")
	f.git(dir, "push", "--quiet", "origin", "topic")
	f.commit(dir, "services/api/main.go", "two")
	return filepath.Join(dir, "services", "api")
}

// Git turns line breaks into CRLF, as on Windows; nothing has changed for that.
func crlf(f *field) string {
	f.publish("acme/app", "main", ".gitlab-ci.yml", `
include: [{local: more.yml}]
folded:
  script:
    - |
      one
      two
  rules:
    - if: >-
        $CI_COMMIT_BRANCH == "main" &&
        $CI_PIPELINE_SOURCE == "push"
`, "more.yml", "included:\n  script: [x]\n  rules:\n    - changes: [more.yml]\nunchanged:\n  script: [x]\n  rules:\n    - changes: [README.md]\n", "README.md", "one\ntwo\n")
	f.git(f.server, "config", "--global", "core.autocrlf", "true")
	dir := f.clone("https://" + fieldHost + "/acme/app.git")
	if data, err := os.ReadFile(filepath.Join(dir, ".gitlab-ci.yml")); err != nil || !strings.Contains(string(data), "\r\n") {
		f.t.Fatalf("no CRLF in the clone: %v", err)
	}
	f.commit(dir, "more.yml", strings.ReplaceAll("included:\n  script: [y]\n  rules:\n    - changes: [more.yml]\nunchanged:\n  script: [x]\n  rules:\n    - changes: [README.md]\n", "\n", "\r\n"))
	return dir
}

func capitals(f *field) string {
	f.publish("acme/ci-templates", "main", "All.yml", "shared: {script: [x]}\n")
	f.publish("Acme/App", "main", ".gitlab-ci.yml", `
include: [{project: Acme/CI-Templates, file: All.yml}]
review: {script: [x], rules: [{if: $CI_PROJECT_PATH == "Acme/App" && $CI_PROJECT_PATH_SLUG == "acme-app" && $CI_COMMIT_REF_SLUG == "feature-abc" && $CI_SERVER_HOST == "gitlab.acme.test"}]}
`)
	dir := f.clone("https://GitLab.Acme.test/Acme/App.git")
	f.git(dir, "switch", "--quiet", "--create", "Feature/ABC")
	return dir
}

// Nobody knows a server: the only branch is the default one, and the last commit is what a push brings.
func noOrigin(f *field) string {
	dir := f.t.TempDir()
	f.git(dir, "init", "--quiet", "--initial-branch=trunk")
	f.commit(dir, ".gitlab-ci.yml", `
release: {script: [x], rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]}
docs: {script: [x], rules: [{changes: [docs/*]}]}
code: {script: [x], rules: [{changes: ["*.go"]}]}
`, "main.go", "one")
	f.commit(dir, "docs/a.md", "one")
	return dir
}
