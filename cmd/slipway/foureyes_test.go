package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// A gitlabProject is what GitLab knows about a project of the path acme/app and the id 7, whose commit abc runs in the job 99.
type gitlabProject struct {
	token                 string
	requests              string // the merge requests of the commit, in JSON
	author                int
	committers, approvers []int
	starter               int
	hidden                bool // the merge request, from GraphQL
	busy                  int  // how many queries are answered with 429
}

// ServeHTTP answers as GitLab does; users are called user1, user2 and so on.
func (p *gitlabProject) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	nodes := func(ids []int) string {
		var all []string
		for _, id := range ids {
			all = append(all, fmt.Sprintf(`{"id":"gid://gitlab/User/%d","username":"user%[1]d"}`, id))
		}
		return `{"nodes":[` + strings.Join(all, ",") + `]}`
	}
	var query struct {
		Query     string
		Variables struct{ Path, IID string }
	}
	if p.busy > 0 && r.Method == http.MethodPost {
		p.busy--
		w.Header().Set("Retry-After", "0")
		w.Header().Set("Connection", "close") // on a new connection net/http does not repeat the query by itself
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	switch {
	case r.Header.Get("Private-Token") != p.token:
		w.WriteHeader(http.StatusUnauthorized)
	case r.Method == http.MethodGet && r.URL.Path == "/api/v4/projects/7/repository/commits/abc/merge_requests":
		_, _ = fmt.Fprint(w, p.requests)
	case r.Method == http.MethodGet && r.URL.Path == "/api/v4/projects/7/jobs/99":
		_, _ = fmt.Fprintf(w, `{"id":99,"user":{"id":%d,"username":"user%[1]d"}}`, p.starter)
	case r.Method != http.MethodPost || r.URL.Path != "/api/graphql" || r.Header.Get("Content-Type") != "application/json":
		w.WriteHeader(http.StatusNotFound)
	case json.NewDecoder(r.Body).Decode(&query) != nil || !strings.Contains(query.Query, "approvedBy") || query.Variables.Path != "acme/app" || query.Variables.IID != "8" || p.hidden:
		_, _ = fmt.Fprint(w, `{"data":{"project":{"mergeRequest":null}}}`)
	default:
		_, _ = fmt.Fprintf(w, `{"data":{"project":{"mergeRequest":{"author":{"id":"gid://gitlab/User/%d"},"committers":%s,"approvedBy":%s}}}}`,
			p.author, nodes(p.committers), nodes(p.approvers))
	}
}

// asJob sets the variables that a job of that project has.
func asJob(t *testing.T, server string) {
	t.Helper()
	for name, value := range map[string]string{"CI_API_V4_URL": server + "/api/v4", "CI_API_GRAPHQL_URL": server + "/api/graphql", "CI_PROJECT_ID": "7",
		"CI_PROJECT_PATH": "acme/app", "CI_COMMIT_SHA": "abc", "CI_JOB_ID": "99", "FOUR_EYES_TOKEN": "the-token"} {
		t.Setenv(name, value)
	}
}

func TestFourEyes(t *testing.T) {
	const merged = `[{"iid":6,"state":"closed"},{"iid":8,"state":"merged"},{"iid":9,"state":"merged"}]`
	const noAnswer = "GitLab's API does not answer with FOUR_EYES_TOKEN ("
	for _, c := range []struct {
		name, mode string
		change     func(*gitlabProject)
		code       int
		says       string
	}{
		{"another person starts it", "starter", nil, 0, "Four eyes: user3 is not an author of this change.\n"},
		{"the author starts it", "starter", func(p *gitlabProject) { p.starter = 1 }, 1,
			"The person who starts this job is an author of the change; nothing has been touched.\nHow to fix: let somebody else start this job.\n"},
		{"the author, who committed nothing, starts it", "starter", func(p *gitlabProject) { p.starter, p.committers = 1, []int{2} }, 1, "The person who starts this job is an author of the change"},
		{"a committer starts it", "starter", func(p *gitlabProject) { p.starter = 2 }, 1, "The person who starts this job is an author of the change"},
		{"an approver's id begins like the author's", "starter", func(p *gitlabProject) { p.starter = 11 }, 0, "Four eyes: user11 is"},
		{"others approved", "approval", nil, 0, "Four eyes: user4, user5 is not an author of this change.\n"},
		{"authors approved", "approval", func(p *gitlabProject) { p.approvers = []int{1, 2} }, 1,
			"Nobody but its authors has approved the merge request; nothing has been touched.\nHow to fix: let somebody else approve it, then start this job again.\n"},
		{"nobody approved", "approval", func(p *gitlabProject) { p.approvers = nil }, 1, "Nobody but its authors"},
		{"pushed", "starter", func(p *gitlabProject) { p.requests = "[]" }, 1,
			"No merged merge request brought this commit; nothing has been touched.\nHow to fix: bring changes by merge requests only.\n"},
		{"not merged", "approval", func(p *gitlabProject) { p.requests = `[{"iid":8,"state":"opened"}]` }, 1, "No merged merge request"},
		{"GitLab is busy", "approval", func(p *gitlabProject) { p.busy = 2 }, 0, "Four eyes: user4, user5"},
		{"GitLab stays busy", "approval", func(p *gitlabProject) { p.busy = 9 }, 1, noAnswer + "429 Too Many Requests for http://"},
		{"another token", "approval", func(p *gitlabProject) { p.token = "another" }, 1, noAnswer + "401 Unauthorized for http://"},
		{"a hidden merge request", "approval", func(p *gitlabProject) { p.hidden = true }, 1,
			noAnswer + "it does not show the merge request !8); nothing has been touched.\nHow to fix: give the project that variable, a token with read_api.\n"},
		{"a job without a person", "starter", func(p *gitlabProject) { p.starter = 0 }, 1, noAnswer + "it does not say who started the job)"},
		{"no JSON", "starter", func(p *gitlabProject) { p.requests = "<html>" }, 1, noAnswer + "not in JSON, for http://"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &gitlabProject{token: "the-token", requests: merged, author: 1, committers: []int{1, 2}, approvers: []int{1, 4, 5}, starter: 3}
			if c.change != nil {
				c.change(p)
			}
			server := httptest.NewServer(p)
			t.Cleanup(server.Close)
			asJob(t, server.URL)
			code, stdout, stderr := command(t, "four-eyes", c.mode)
			if code != c.code || !strings.Contains(stdout+stderr, c.says) || (stdout != "") != (code == 0) {
				t.Errorf("%d\n%s%s\nwant %d, %s", code, stdout, stderr, c.code, c.says)
			}
			if strings.Contains(stdout+stderr, "the-token") {
				t.Errorf("the token is printed:\n%s%s", stdout, stderr)
			}
		})
	}
}

// TestFourEyesWithoutGitLab asks servers that are none, or are not asked for what a job has not.
func TestFourEyesWithoutGitLab(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("another server gets %v", r.Header) }))
	t.Cleanup(other.Close)
	elsewhere := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(elsewhere.Close)
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
			fmt.Fprintf(conn, "HTTP/1.1 403 %s\r\nConnection: close\r\nContent-Length: 9\r\n\r\nthe-token", r.Header.Get("Private-Token"))
			conn.Close()
		}
	}))
	t.Cleanup(echo.Close)
	closed := httptest.NewServer(nil)
	closed.Close()
	for _, c := range []struct {
		name, server, variable, value string
		code                          int
		says                          string
	}{
		{"a redirect to another server", elsewhere.URL, "CI_JOB_ID", "99", 1, "(307 Temporary Redirect for "},
		{"a server that repeats the token", echo.URL, "CI_JOB_ID", "99", 1, "(403 Forbidden for "},
		{"no server", closed.URL, "CI_JOB_ID", "99", 1, "connection refused); nothing has been touched"},
		{"no token", other.URL, "FOUR_EYES_TOKEN", "", 1, "GitLab's API does not answer with FOUR_EYES_TOKEN (it is not set)"},
		{"a token of two lines", other.URL, "FOUR_EYES_TOKEN", "the-token\nthe-token", 1, "GitLab's API does not answer with FOUR_EYES_TOKEN ("},
		{"no job", other.URL, "CI_JOB_ID", "", 2, "slipway: CI_JOB_ID is not set: this command is for jobs of GitLab"},
	} {
		t.Run(c.name, func(t *testing.T) {
			asJob(t, c.server)
			t.Setenv(c.variable, c.value)
			code, stdout, stderr := command(t, "four-eyes", "approval")
			if code != c.code || stdout != "" || !strings.Contains(stderr, c.says) || strings.Contains(stderr, "the-token") {
				t.Errorf("%d\n%s%s\nwant %d, %s", code, stdout, stderr, c.code, c.says)
			}
		})
	}
	for _, args := range [][]string{{"four-eyes"}, {"four-eyes", "off"}, {"four-eyes", ""}, {"four-eyes", "starter", "approval"}} {
		if code, _, stderr := command(t, args...); code != 2 || !slices.Contains([]string{"slipway: accepts", "slipway: invalid"}, strings.Join(strings.Fields(stderr)[:2], " ")) {
			t.Errorf("%q: %d %s", args, code, stderr)
		}
	}
}
