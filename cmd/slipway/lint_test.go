package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
)

// TestLintOnline asks the GitLab that origin names, in the name of a project that is called like the placeholder of unknown ones.
func TestLintOnline(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/api/v4/projects/acme%2Fapp/ci/lint" || r.Header.Get("Authorization") != "Bearer the-token" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = io.WriteString(w, `{"valid": false, "errors": ["a rule of this instance"], "warnings": []}`)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	fill(t, filepath.Join(dir, ".gitlab-ci.yml"), []byte("workflow: {rules: [{if: $CI_COMMIT_BRANCH}]}\na: {script: [x]}\n"))
	initRepository(t, dir)
	asks := func(wantCode int, want string, args ...string) {
		t.Helper()
		if code, stdout, stderr := command(t, append([]string{"lint", "--online", "-C", dir}, args...)...); code != wantCode || !strings.Contains(stdout+stderr, want) {
			t.Errorf("exit code %d, want %d with %q\n%s%s", code, wantCode, want, stdout, stderr)
		}
	}
	asks(2, "SLIPWAY_TOKEN or GITLAB_TOKEN")
	t.Setenv("SLIPWAY_TOKEN", "the-token")
	asks(2, "the project is unknown")
	asks(2, "the project is unknown", "--gitlab-url", server.URL)
	asks(1, "a rule of this instance", "--gitlab-url", server.URL, "--project-path", "acme/app")
	runGit(t, dir, "remote", "add", "origin", fmt.Sprint(server.URL, "/acme/app.git"))
	asks(1, "a rule of this instance")
}
