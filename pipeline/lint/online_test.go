package lint_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline/lint"
)

const onlineConfiguration = `
stages: [build, deploy]
.base:
  image: alpine:3
build:
  extends: .base
  stage: build
  script: [make]
deploy:
  stage: deploy
  script: [make deploy]
  rules:
    - if: $CI_COMMIT_TAG
`

// mergedByGitLab is what the API answers for it: keys are sorted otherwise, strings are quoted otherwise.
const mergedByGitLab = `---
stages:
- ".pre"
- build
- deploy
- ".post"
".base":
  image: alpine:3
build:
  image: alpine:3
  extends: ".base"
  stage: build
  script:
  - make
deploy:
  rules:
  - if: "$CI_COMMIT_TAG"
  stage: deploy
  script:
  - make deploy
`

// gitlabServer answers as the documented CI lint API, POST /projects/:id/ci/lint.
func gitlabServer(t *testing.T, status int, answer any) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.EscapedPath() != "/api/v4/projects/acme%2Fapp/ci/lint" {
			t.Errorf("request %s %s", r.Method, r.URL.EscapedPath())
		}
		if got := r.Header.Get("Authorization"); got != "Bearer sesame" {
			t.Errorf("authorization %q", got)
		}
		var body struct {
			Content     string `json:"content"`
			IncludeJobs bool   `json:"include_jobs"`
		}
		data, _ := io.ReadAll(r.Body)
		if err := json.Unmarshal(data, &body); err != nil || body.Content != onlineConfiguration || !body.IncludeJobs {
			t.Errorf("body %s (%v)", data, err)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(server.Close)
	return server
}

type object = map[string]any

func jobsOf(pairs ...string) []object {
	var jobs []object
	for i := 0; i < len(pairs); i += 2 {
		jobs = append(jobs, object{"name": pairs[i], "stage": pairs[i+1], "script": []string{"x"}, "when": "on_success", "allow_failure": false})
	}
	return jobs
}

func TestOnlineReportsDifferences(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer object
		want   []string
	}{
		{"same", object{
			"valid": true, "errors": []string{}, "warnings": []string{}, "merged_yaml": mergedByGitLab,
			"includes": []object{}, "jobs": jobsOf("build", "build", "deploy", "deploy"),
		}, nil},
		{"refused", object{"valid": false, "errors": []string{"jobs:deploy is odd"}, "warnings": []string{"careful"}, "merged_yaml": nil, "jobs": nil}, []string{
			"warning: GitLab warns: careful",
			"error: GitLab refuses this configuration, slipway does not: jobs:deploy is odd",
		}},
		{"merged otherwise", object{
			"valid": true, "merged_yaml": strings.Replace(mergedByGitLab, "  - make deploy", "  - make deploy\n  tags:\n  - x", 1) + "extra: {script: [x]}\n",
			"jobs": jobsOf("build", "test", "extra", "test"),
		}, []string{
			"error jobs:deploy:tags: only GitLab's merged configuration has this",
			"error jobs:extra: only GitLab's merged configuration has this",
			"error jobs:build:stage: GitLab puts the job into stage test, slipway into build",
			"error jobs:extra: only GitLab has this job",
			"error jobs:deploy: only slipway has this job",
		}},
		{"another value", object{
			"valid": true, "merged_yaml": strings.Replace(mergedByGitLab, "- make deploy", "- make nothing", 1), "jobs": nil,
		}, []string{`error jobs:deploy:script: the merged configurations differ: GitLab has ["make nothing"], slipway has ["make deploy"]`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := configuration(onlineConfiguration)
			server := gitlabServer(t, http.StatusOK, tt.answer)
			findings, err := lint.Online(t.Context(), files, load(t, files), lint.GitLab{URL: server.URL, Project: "acme/app", Token: "sesame"}, ".gitlab-ci.yml")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range findings {
				line := string(f.Severity)
				if f.Path != "" {
					line += " " + f.Path
				}
				got = append(got, line+": "+f.Message)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOnlineExplainsFailures(t *testing.T) {
	t.Parallel()
	files := configuration(onlineConfiguration)
	for _, tt := range []struct {
		name   string
		status int
		answer any
		want   string
	}{
		{"token", http.StatusUnauthorized, object{"message": "401 Unauthorized"}, "refuses the token"},
		{"project", http.StatusNotFound, object{"message": "404 Project Not Found"}, "no project acme/app"},
		{"server", http.StatusBadGateway, object{}, "502"},
		{"not GitLab", http.StatusOK, []string{"hello"}, "does not answer as GitLab's CI lint API"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := gitlabServer(t, tt.status, tt.answer)
			_, err := lint.Online(t.Context(), files, load(t, files), lint.GitLab{URL: server.URL, Project: "acme/app", Token: "sesame"}, ".gitlab-ci.yml")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
	if _, err := lint.Online(t.Context(), files, load(t, files), lint.GitLab{URL: "http://gitlab.example.com", Project: "a", Token: "sesame"}, ".gitlab-ci.yml"); err == nil || !strings.Contains(err.Error(), "https") {
		t.Errorf("a token is sent over http: %v", err)
	}
}
