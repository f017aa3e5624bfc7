package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// variableServer answers as GitLab does: two variables a page, and the group acme only for its owners.
func variableServer(t *testing.T, wantHeader, wantToken string) *httptest.Server {
	t.Helper()
	lists := map[string][]string{
		"/api/v4/projects/acme%2Fteam%2Fapp/variables": {
			`{"key":"A","value":"secret-a","masked":true,"protected":true,"environment_scope":"*","variable_type":"env_var"}`,
			`{"key":"B","value":"secret-b","environment_scope":"production"}`,
			`{"key":"HIDDEN","value":null,"masked":true,"hidden":true,"environment_scope":"*"}`,
			`{"key":"KUBECONFIG","value":"secret-file","variable_type":"file","environment_scope":"*"}`,
			`{"key":"RAW","value":"$x","raw":true,"environment_scope":"*"}`,
		},
		"/api/v4/groups/acme%2Fteam/variables": {
			`{"key":"A","value":"of the group","environment_scope":"production"}`,
			`{"key":"B","value":"secret-other","environment_scope":"*"}`,
			`{"key":"G","value":"secret-group","environment_scope":"*"}`,
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		items, ok := lists[r.URL.EscapedPath()]
		switch {
		case r.Header.Get(wantHeader) != wantToken:
			w.WriteHeader(http.StatusUnauthorized)
			return
		case !ok && strings.HasPrefix(r.URL.Path, "/api/v4/groups/"):
			w.WriteHeader(http.StatusForbidden)
			return
		case !ok:
			w.WriteHeader(http.StatusNotFound)
			return
		}
		var page int
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
		last := min(2*page, len(items))
		if last < len(items) {
			w.Header().Set("X-Next-Page", fmt.Sprint(page+1))
		}
		_, _ = fmt.Fprintf(w, "[%s]", strings.Join(items[2*page-2:last], ","))
	}))
	t.Cleanup(server.Close)
	return server
}

func TestVariablesPull(t *testing.T) {
	for _, c := range []struct{ variable, header string }{
		{"SLIPWAY_TOKEN", "Private-Token"}, {"GITLAB_TOKEN", "Private-Token"}, {"CI_JOB_TOKEN", "Job-Token"},
	} {
		t.Run(c.variable, func(t *testing.T) {
			for _, name := range []string{"SLIPWAY_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN", "CI_COMMIT_SHA", "CI_PROJECT_PATH", "CI_SERVER_HOST", "CI_SERVER_FQDN", "CI_SERVER_URL", "GITLAB_CI"} {
				t.Setenv(name, "")
			}
			t.Setenv(c.variable, "the-token")
			server := variableServer(t, c.header, "the-token")
			dir := t.TempDir()
			fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("a: {script: [x], rules: [{if: $A == 'secret-a' && $G == 'secret-group'}]}\n"))
			fill(t, filepath.Join(dir, ".slipway", "variables.json"), nil) // its mode is another one
			initRepository(t, dir)
			runGit(t, dir, "remote", "add", "origin", server.URL+"/acme/team/app.git")
			code, stdout, stderr := command(t, "variables", "pull", "-C", dir)
			file := filepath.Join(dir, ".slipway", "variables.json")
			if code != 0 || !strings.Contains(stdout, "5 variables of the project, 2 of its groups") || !strings.Contains(stdout, "1 are hidden") ||
				!strings.Contains(stderr, "variables of the group acme are left out") || !strings.Contains(stderr, "git does not ignore") {
				t.Fatalf("%d\n%s%s", code, stdout, stderr)
			}
			if strings.Contains(stdout+stderr, "secret-") || strings.Contains(stdout+stderr, "the-token") {
				t.Errorf("a secret is printed:\n%s%s", stdout, stderr)
			}
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%v %v", info, err)
			}
			variables, err := readVariables(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(variables)
			if err != nil || len(variables) != 7 || !variables[0].Masked || !variables[0].Protected || !variables[3].File || !variables[4].Raw {
				t.Errorf("%s %v", got, err)
			}
			if code, stdout, stderr := command(t, "plan", "-C", dir, "--variables", file); code != 0 || !strings.Contains(stdout, "1 job") {
				t.Errorf("%d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

func TestVariablesPullIsRefused(t *testing.T) {
	for _, name := range []string{"SLIPWAY_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN", "CI_COMMIT_SHA", "CI_PROJECT_PATH", "CI_SERVER_HOST", "CI_SERVER_FQDN", "CI_SERVER_URL", "GITLAB_CI"} {
		t.Setenv(name, "")
	}
	server := variableServer(t, "Private-Token", "the-token")
	dir := t.TempDir()
	initRepository(t, dir)
	refused := func(want string, args ...string) {
		t.Helper()
		args = append([]string{"variables", "pull", "-C", dir}, args...)
		if code, _, stderr := command(t, args...); code != 2 || !strings.Contains(stderr, want) || strings.Contains(stderr, "other-token") {
			t.Errorf("%d %s, want %s", code, stderr, want)
		}
	}
	refused("the project is unknown")
	runGit(t, dir, "remote", "add", "origin", server.URL+"/acme/team/app.git")
	refused("there is no token")
	t.Setenv("SLIPWAY_TOKEN", "other-token")
	refused("does not accept the token")
	t.Setenv("SLIPWAY_TOKEN", "the-token")
	refused("GitLab has no acme/nothing", "--project-path", "acme/nothing")
	if _, err := os.Stat(filepath.Join(dir, ".slipway")); err == nil {
		t.Error("something is written")
	}
}
