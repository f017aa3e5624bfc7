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
		"/api/v4/admin/ci/variables": {
			`{"key":"G","value":"of the instance","masked":false}`,
			`{"key":"I","value":"secret-instance","masked":true}`,
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
			t.Setenv(c.variable, "the-token")
			server := variableServer(t, c.header, "the-token")
			dir := t.TempDir()
			fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("a: {script: [x], rules: [{if: $A == 'secret-a' && $G == 'secret-group'}]}\n"))
			fill(t, filepath.Join(dir, ".slipway", "variables.json"), nil) // its mode is another one
			initRepository(t, dir)
			runGit(t, dir, "remote", "add", "origin", server.URL+"/acme/team/app.git")
			code, stdout, stderr := command(t, "variables", "pull", "-C", dir)
			file := filepath.Join(dir, ".slipway", "variables.json")
			if code != 0 || !strings.Contains(stdout, "5 variables of the project, 2 of its groups, 1 of the instance") || !strings.Contains(stdout, "1 are hidden") ||
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
			if err != nil || len(variables) != 8 || !variables[0].Masked || !variables[0].Protected || !variables[3].File || !variables[4].Raw {
				t.Errorf("%s %v", got, err)
			}
			if code, stdout, stderr := command(t, "plan", "-C", dir, "--variables", file); code != 0 || !strings.Contains(stdout, "1 job") {
				t.Errorf("%d\n%s%s", code, stdout, stderr)
			}
		})
	}
}

func TestVariablesPullIsRefused(t *testing.T) {
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
	refused("GitLab has no "+defaultPath, "--project-path", defaultPath) // a project can have the name that stands for an unknown one
	if _, err := os.Stat(filepath.Join(dir, ".slipway")); err == nil {
		t.Error("something is written")
	}
}

// TestVariablesPullOfLevels has a project that has moved, a server with a limit of requests, and an administrator's token that is none.
func TestVariablesPullOfLevels(t *testing.T) {
	t.Setenv("SLIPWAY_TOKEN", "the-token")
	lists := map[string]string{
		"/api/v4/projects/7/variables": `[{"key":"A","value":"project","environment_scope":"review/*"},{"key":"B","value":"project","environment_scope":"production"}]`,
		"/api/v4/groups/acme%2Fteam/variables": `[{"key":"A","value":"team","environment_scope":"review/app"},{"key":"A","value":"team","environment_scope":"*"},
			{"key":"B","value":"team","environment_scope":"prod*"}]`,
		"/api/v4/groups/acme/variables": `[{"key":"A","value":"acme","environment_scope":"staging"},{"key":"C","value":"acme","environment_scope":"*"}]`,
	}
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		path := r.URL.EscapedPath()
		switch {
		case r.Header.Get("Private-Token") != "the-token":
			t.Errorf("%s comes without the token", path)
		case requests%2 == 1:
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
		case path == "/api/v4/projects/acme%2Fteam%2Fold/variables":
			requests++ // the client follows at once
			http.Redirect(w, r, "/api/v4/projects/7/variables?"+r.URL.RawQuery, http.StatusMovedPermanently)
		case lists[path] == "":
			w.WriteHeader(http.StatusForbidden)
		default:
			_, _ = fmt.Fprint(w, lists[path])
		}
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	initRepository(t, dir)
	runGit(t, dir, "remote", "add", "origin", server.URL+"/acme/team/old.git")
	file := filepath.Join(t.TempDir(), "variables.json")
	code, stdout, stderr := command(t, "variables", "pull", "-C", dir, "--output", file)
	if code != 0 || !strings.Contains(stdout, "2 variables of the project, 3 of its groups, 0 of the instance") || stderr != "" && strings.Contains(stderr, "instance") {
		t.Fatalf("%d\n%s%s", code, stdout, stderr)
	}
	variables, err := readVariables(file)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, v := range variables {
		got = append(got, v.Key+"@"+v.EnvironmentScope+" "+v.Value)
	}
	want := "A@review/* project, B@production project, A@* team, B@prod* team, C@* acme"
	if strings.Join(got, ", ") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, ", "), want)
	}
}

func TestVariablesPullKeepsTheTokenOnItsServer(t *testing.T) {
	t.Setenv("SLIPWAY_TOKEN", "the-token")
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("another server gets %v", r.Header)
	}))
	t.Cleanup(other.Close)
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	initRepository(t, dir)
	runGit(t, dir, "remote", "add", "origin", server.URL+"/acme/other.git")
	if code, _, stderr := command(t, "variables", "pull", "-C", dir); code != 2 || !strings.Contains(stderr, "GitLab answers with 302") {
		t.Errorf("%d %s", code, stderr)
	}
}
