package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/resolver"
)

// repository makes a repository with a commit per version, each a tag, and gives the last commit's SHA.
func repository(t *testing.T, dir string, versions ...string) string {
	t.Helper()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a",
			"GIT_COMMITTER_EMAIL=a@example.com", "GIT_CONFIG_GLOBAL=/dev/null")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if err := os.MkdirAll(filepath.Join(dir, "templates"), 0o755); err != nil {
		t.Fatal(err)
	}
	run("init", "--quiet", "--initial-branch=main", ".")
	for _, version := range versions {
		content := "job: {script: [\"echo " + version + "\"]}\n"
		if err := os.WriteFile(filepath.Join(dir, "templates", "test.yml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		run("add", ".")
		run("commit", "--quiet", "--message", version)
		run("tag", version)
	}
	return run("rev-parse", "HEAD")
}

// script compiles a configuration that includes a component and gives the first line of its job.
func script(t *testing.T, r pipeline.Resolver, version string) (string, error) {
	t.Helper()
	files := fstest.MapFS{".gitlab-ci.yml": {Data: []byte("include: [{component: $CI_SERVER_FQDN/platform/go/test@" + version + "}]\n")}}
	project, err := pipeline.Load(files, pipeline.Options{Resolver: r})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push})
	if err != nil {
		return "", err
	}
	return plan.Jobs[0].Script[0], nil
}

func TestVersions(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	sha := repository(t, filepath.Join(root, "platform", "go"), "1.0.0", "1.2.0", "1.2.3", "2.0.0-rc.1")
	folder := fstest.MapFS{}
	for _, v := range []string{"1.0.0", "1.2.0", "1.2.3", "2.0.0-rc.1"} {
		folder["platform/go@"+v+"/templates/test.yml"] = &fstest.MapFile{Data: []byte("job: {script: [\"echo " + v + "\"]}\n")}
	}
	clones := &resolver.Clones{Root: root}
	git := &resolver.Git{BaseURL: "file://" + bare(t, root), Cache: t.TempDir()}
	for name, r := range map[string]pipeline.Resolver{
		"folder": resolver.Folder{Files: folder}, "clones": clones, "git": git,
		"chain": resolver.Chain{resolver.None{}, clones},
	} {
		t.Run(name, func(t *testing.T) {
			for version, want := range map[string]string{
				"1.0.0": "1.0.0", "1": "1.2.3", "1.2": "1.2.3", "1.0": "1.0.0", "~latest": "1.2.3", "main": "2.0.0-rc.1", sha: "2.0.0-rc.1",
			} {
				t.Run(version, func(t *testing.T) {
					if name == "folder" && (version == "main" || version == sha) {
						return
					}
					got, err := script(t, r, version)
					if err != nil || got != "echo "+want {
						t.Errorf("@%s: %q, %v, want %s", version, got, err, want)
					}
				})
			}
			var wrong pipeline.Errors
			if _, err := script(t, r, "9.9.9"); !errors.As(err, &wrong) || wrong[0].Path != "include" {
				t.Errorf("@9.9.9: %v", err)
			}
		})
	}
	for _, closer := range []interface{ Close() error }{clones, git} {
		if err := closer.Close(); err != nil {
			t.Error(err)
		}
	}
}

// bare makes bare clones of the repositories below root, as a server has them.
func bare(t *testing.T, root string) string {
	t.Helper()
	server := t.TempDir()
	cmd := exec.Command("git", "clone", "--quiet", "--bare", filepath.Join(root, "platform", "go"), filepath.Join(server, "platform", "go.git"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return server
}

func TestGitOffline(t *testing.T) {
	t.Parallel()
	root, cache := t.TempDir(), t.TempDir()
	repository(t, filepath.Join(root, "platform", "go"), "1.0.0")
	server := bare(t, root)
	online := &resolver.Git{BaseURL: "file://" + server, Cache: cache}
	if _, err := script(t, online, "1"); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(server); err != nil {
		t.Fatal(err)
	}
	for _, g := range []*resolver.Git{{BaseURL: "file://" + server, Cache: cache}, {BaseURL: "file://" + server, Cache: cache, Offline: true}} {
		t.Run(fmt.Sprintf("offline %t", g.Offline), func(t *testing.T) {
			got, err := script(t, g, "1")
			if err != nil || got != "echo 1.0.0" {
				t.Errorf("offline %t: %q, %v", g.Offline, got, err)
			}
			if _, _, err := g.Project(context.Background(), "platform/go", "never-fetched"); err == nil {
				t.Error("a ref that was never fetched is there")
			}
			if err := g.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if _, _, err := online.Project(context.Background(), "../../etc", "main"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a path out of the cache: %v", err)
	}
	if err := online.Close(); err != nil {
		t.Error(err)
	}
}

func TestRemote(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/a.yml" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write([]byte("job: {script: [x]}\n"))
	}))
	t.Cleanup(server.Close)
	r := resolver.Web{Client: server.Client()}
	// printf 'job: {script: [x]}\n' | openssl dgst -sha256 -binary | base64
	const hash = "sha256-RT3/nme3PdG+nm7/CuR+uexiTy/EZgKXjlkPK5b75AQ="
	for name, c := range map[string]struct{ include, where string }{
		"plain":           {`{remote: "` + server.URL + `/a.yml"}`, ""},
		"wrong integrity": {`{remote: "` + server.URL + `/a.yml", integrity: "sha256-AAAA"}`, "include"},
		"right integrity": {`{remote: "` + server.URL + `/a.yml", integrity: "` + hash + `"}`, ""},
		"missing":         {`{remote: "` + server.URL + `/b.yml"}`, "include"},
		"http":            {`{remote: "http` + strings.TrimPrefix(server.URL, "https") + `/a.yml"}`, "include"},
	} {
		t.Run(name, func(t *testing.T) {
			project, err := pipeline.Load(fstest.MapFS{".gitlab-ci.yml": {Data: []byte("include: [" + c.include + "]\n")}}, pipeline.Options{Resolver: r})
			if err != nil {
				t.Fatal(err)
			}
			_, err = project.Plan(context.Background(), pipeline.Event{Source: pipeline.Push})
			var wrong pipeline.Errors
			if errors.As(err, &wrong) != (c.where != "") || wrong != nil && wrong[0].Path != c.where {
				t.Error(err)
			}
		})
	}
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	r := resolver.Templates{Files: fstest.MapFS{"Go.gitlab-ci.yml": {Data: []byte("x: {script: [x]}")}}}
	if _, err := r.Template(context.Background(), "Go.gitlab-ci.yml"); err != nil {
		t.Error(err)
	}
	if _, err := r.Template(context.Background(), "../x"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	tags, err := resolver.Folder{Files: fstest.MapFS{"a/b@v1/x": {}, "a/b@v2/x": {}}}.Tags(context.Background(), "a/b")
	if err != nil || !slices.Equal(tags, []string{"v1", "v2"}) {
		t.Error(tags, err)
	}
}

// A ref that a clone does not have is missing, whatever its work tree holds.
func TestMissingRefIsNotTheWorkTree(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	repository(t, filepath.Join(root, "platform", "go"), "1.0.0")
	chain := resolver.Chain{&resolver.Clones{Root: root}, resolver.Folder{Files: os.DirFS(root)}}
	t.Cleanup(func() { _ = chain.Close() })
	if _, _, err := chain.Project(t.Context(), "platform/go", "gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, _, err := chain.Project(t.Context(), "platform/go", "1.0.0"); err != nil {
		t.Error(err)
	}
}

// Two servers with a project of the same path have a copy each, and a copy that could not be refreshed is announced.
func TestGitCacheIsKeptByServer(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	var servers []string
	for _, version := range []string{"1.0.0", "2.0.0"} {
		root := t.TempDir()
		repository(t, filepath.Join(root, "platform", "go"), version)
		servers = append(servers, bare(t, root))
	}
	var warnings []string
	read := func(server string) string {
		t.Helper()
		g := &resolver.Git{BaseURL: "file://" + server, Cache: cache, Warn: func(message string) { warnings = append(warnings, message) }}
		t.Cleanup(func() { _ = g.Close() })
		tree, _, err := g.Project(t.Context(), "platform/go", "main")
		if err != nil {
			t.Fatal(err)
		}
		text, err := fs.ReadFile(tree, "templates/test.yml")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if one, two := read(servers[0]), read(servers[1]); !strings.Contains(one, "1.0.0") || !strings.Contains(two, "2.0.0") || warnings != nil {
		t.Errorf("%s %s %v", one, two, warnings)
	}
	if err := os.RemoveAll(servers[0]); err != nil {
		t.Fatal(err)
	}
	g := &resolver.Git{BaseURL: "file://" + servers[1], Cache: cache}
	t.Cleanup(func() { _ = g.Close() })
	if _, _, err := g.Project(t.Context(), "platform/go", "gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a ref that the server lacks: %v", err)
	}
}

func TestWebTemplatesAndCopies(t *testing.T) {
	t.Parallel()
	var token string
	down := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case down:
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.EscapedPath() == "/api/v4/templates/gitlab_ci_ymls/Jobs%2FGo":
			token = r.Header.Get("Private-Token")
			_, _ = w.Write([]byte(`{"name": "Jobs/Go", "content": "a: {script: [x]}"}`))
		case r.URL.Path == "/raw/Other.gitlab-ci.yml":
			_, _ = w.Write([]byte("b: {script: [x]}"))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	var warnings []string
	web := resolver.Web{Instance: server.URL, Source: server.URL + "/raw/", Cache: t.TempDir(), Header: http.Header{"Private-Token": {"t"}},
		Warn: func(message string) { warnings = append(warnings, message) }}
	for name, want := range map[string]string{"Jobs/Go.gitlab-ci.yml": "a: {script: [x]}", "Other.gitlab-ci.yml": "b: {script: [x]}"} {
		t.Run(name, func(t *testing.T) {
			if got, err := web.Template(t.Context(), name); err != nil || string(got) != want {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		})
	}
	if token != "t" {
		t.Error("the API did not get the token")
	}
	if _, err := web.Template(t.Context(), "Gone.gitlab-ci.yml"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	down = true
	if got, err := web.Template(t.Context(), "Other.gitlab-ci.yml"); err != nil || string(got) != "b: {script: [x]}" || len(warnings) != 1 {
		t.Errorf("%q, %v, %v", got, err, warnings)
	}
	web.Offline = true
	if got, err := web.Remote(t.Context(), server.URL+"/raw/Other.gitlab-ci.yml"); err != nil || string(got) != "b: {script: [x]}" {
		t.Errorf("offline: %q, %v", got, err)
	}
	if _, err := web.Remote(t.Context(), server.URL+"/never.yml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("offline: %v", err)
	}
}
