package coordinator

import (
	"context"
	"net/http"
	"net/http/cgi" //nolint:gosec // it sets no HTTP_PROXY from a Proxy header since Go 1.6.3 (CVE-2016-5386)
	"path/filepath"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/git"
)

// newGitHandler serves the repository, read-only, with git's own server for HTTP.
func newGitHandler(config Config) (http.Handler, error) {
	process := git.Command{Env: config.GitEnv, Set: []string{
		"GIT_PROJECT_ROOT=" + filepath.Dir(config.Repository), "GIT_HTTP_EXPORT_ALL=1", git.LazyFetch,
		// A push is refused as on GitLab, where the token of a job may not push by default.
		"GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=http.receivepack", "GIT_CONFIG_VALUE_0=false",
	}}.Process(context.Background(), "http-backend")
	if process.Err != nil {
		return nil, git.ErrNotInstalled
	}
	return &cgi.Handler{Path: process.Path, Args: process.Args[1:], Env: process.Env, Dir: config.Repository}, nil
}

// repositoryURL returns the URL that the runner clones from.
func (c *Coordinator) repositoryURL() string { return c.URL() + "/" + c.config.ProjectPath + ".git" }

// repository serves the sources to requests with the token of a running job.
func (c *Coordinator) repository(w http.ResponseWriter, r *http.Request) {
	rest, found := strings.CutPrefix(r.URL.Path, "/"+c.config.ProjectPath+".git/")
	if !found {
		http.NotFound(w, r)
		return
	}
	_, token, _ := r.BasicAuth()
	if !c.isJobToken(token) {
		w.Header().Set("WWW-Authenticate", `Basic realm="slipway"`)
		http.Error(w, "401 Unauthorized", http.StatusUnauthorized)
		return
	}
	r.URL.Path = "/" + filepath.Base(c.config.Repository) + "/" + rest
	c.git.ServeHTTP(w, r)
}

func (c *Coordinator) isJobToken(token string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, j := range c.jobs {
		if sameToken(token, j.Payload.Token) {
			return true
		}
	}
	return false
}
