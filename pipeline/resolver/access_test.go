package resolver_test

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline/resolver"
)

// protectedServer serves a folder of repositories with git's own server for HTTP to a user with a password.
func protectedServer(t *testing.T, root, user, password string) string {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	backend := &cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1"}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, p, _ := r.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="GitLab"`)
			http.Error(w, "HTTP Basic: Access denied", http.StatusUnauthorized)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// emptyHome keeps the settings of whoever runs the tests away from git.
func emptyHome(t *testing.T) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, name := range []string{"CI_JOB_TOKEN", "CI_SERVER_URL", "GIT_ASKPASS", "SSH_ASKPASS", "GIT_SSH_COMMAND", "NETRC", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"} {
		t.Setenv(name, "")
		os.Unsetenv(name)
	}
	return home
}

func TestAccessOverHTTP(t *testing.T) {
	root := t.TempDir()
	repository(t, filepath.Join(root, "platform", "go"), "1.0.0")
	served := bare(t, root)
	tests := []struct {
		name, user string
		setUp      func(t *testing.T, home, url string)
		refused    bool
	}{
		{"nothing", "ann", func(*testing.T, string, string) {}, true},
		{"netrc", "ann", func(t *testing.T, home, _ string) {
			writeFile(t, filepath.Join(home, ".netrc"), "machine 127.0.0.1 login ann password pa55\n")
		}, false},
		{"netrc of another host", "ann", func(t *testing.T, home, _ string) {
			writeFile(t, filepath.Join(home, ".netrc"), "machine git.example.com login ann password pa55\n")
		}, true},
		{"credential helper", "ann", func(t *testing.T, home, _ string) {
			writeFile(t, filepath.Join(home, ".gitconfig"), "[credential]\n\thelper = \"!f() { echo username=ann; echo password=pa55; }; f\"\n")
		}, false},
		{"another URL", "ann", func(t *testing.T, home, url string) {
			with := strings.Replace(url, "://", "://ann:pa55@", 1)
			writeFile(t, filepath.Join(home, ".gitconfig"), "[url \""+with+"/\"]\n\tinsteadOf = "+url+"/\n")
		}, false},
		{"a job's token", "gitlab-ci-token", func(t *testing.T, _, url string) {
			t.Setenv("CI_JOB_TOKEN", "pa55")
			t.Setenv("CI_SERVER_URL", url)
		}, false},
		{"a job's token of another instance", "gitlab-ci-token", func(t *testing.T, _, _ string) {
			t.Setenv("CI_JOB_TOKEN", "pa55")
			t.Setenv("CI_SERVER_URL", "https://gitlab.example.com")
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			home := emptyHome(t)
			url := protectedServer(t, served, tt.user, "pa55")
			tt.setUp(t, home, url)
			g := &resolver.Git{BaseURL: url, Cache: t.TempDir()}
			defer g.Close()
			_, _, err := g.Project(t.Context(), "platform/go", "main")
			switch {
			case tt.refused && (err == nil || !strings.Contains(err.Error(), "refuses access to platform/go")):
				t.Errorf("error: %v", err)
			case !tt.refused && err != nil:
				t.Error(err)
			}
			if err != nil && strings.Contains(err.Error(), "pa55") {
				t.Errorf("the error has the password: %v", err)
			}
		})
	}
}

// What git says has the address in it, whose path is no reason.
func TestMissingProjectOfAnyName(t *testing.T) {
	for _, path := range []string{"team-403/go-401", "unreachable/go", "timed-out/permission-denied"} {
		g := &resolver.Git{BaseURL: "file://" + t.TempDir(), Cache: t.TempDir()}
		defer g.Close()
		if _, _, err := g.Project(t.Context(), path, "main"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: error %v, want one that says that the project does not exist", path, err)
		}
	}
}

// A server refuses with 403 who is known but may not read the project.
func TestAccessForbidden(t *testing.T) {
	emptyHome(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "You are not allowed to download code from this project.", http.StatusForbidden)
	}))
	defer server.Close()
	g := &resolver.Git{BaseURL: server.URL, Cache: t.TempDir()}
	defer g.Close()
	if _, _, err := g.Project(t.Context(), "platform/go", "main"); err == nil || !strings.Contains(err.Error(), "refuses access to platform/go") {
		t.Errorf("error: %v", err)
	}
}

// GIT_SSH_COMMAND takes the place of ssh: here it is a script that runs git's server on this machine.
func TestAccessOverSSH(t *testing.T) {
	root := t.TempDir()
	repository(t, filepath.Join(root, "platform", "go"), "1.0.0")
	served := bare(t, root)
	home := emptyHome(t)
	script := filepath.Join(home, "ssh")
	writeFile(t, script, "#!/bin/sh\necho \"$@\" >>\"$HOME/calls\"\nfor last; do :; done\ncd '"+served+"' && eval \"$last\"\n")
	if err := os.Chmod(script, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GIT_SSH_COMMAND", script)
	t.Setenv("GIT_SSH_VARIANT", "ssh")
	g := &resolver.Git{BaseURL: "git@gitlab.example.com:", Cache: t.TempDir()}
	defer g.Close()
	if _, _, err := g.Project(t.Context(), "platform/go", "main"); err != nil {
		t.Fatal(err)
	}
	calls, err := os.ReadFile(filepath.Join(home, "calls"))
	if err != nil || !strings.Contains(string(calls), "git@gitlab.example.com git-upload-pack 'platform/go.git'") {
		t.Errorf("calls of ssh: %s, %v", calls, err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
