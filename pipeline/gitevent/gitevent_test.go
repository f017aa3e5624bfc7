package gitevent_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/internal/git"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/gitevent"
)

// pairs is an environment as the operating system has it.
func pairs(variables map[string]string) []string {
	var env []string
	for name, value := range variables {
		env = append(env, name+"="+value)
	}
	return env
}

// A clone is a repository in a test.
type clone struct {
	t   *testing.T
	dir string
}

func (c clone) git(args ...string) string {
	c.t.Helper()
	in := git.In(c.dir)
	in.Set = []string{"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com"}
	out, err := in.Text(c.t.Context(), args...)
	if err != nil {
		c.t.Fatal(err)
	}
	return out
}

// write makes a file, or adds a line to it.
func (c clone) write(path string) {
	c.t.Helper()
	path = filepath.Join(c.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if err := os.WriteFile(path, append(before, "more\n"...), 0o644); err != nil {
		c.t.Fatal(err)
	}
}

func (c clone) commit(paths ...string) string {
	c.t.Helper()
	for _, path := range paths {
		c.write(path)
	}
	c.git("add", "--all")
	c.git("commit", "--quiet", "--allow-empty", "--message=change "+strings.Join(paths, " "))
	return c.git("rev-parse", "HEAD")
}

// start makes a server's repository on main with two commits, and a clone of it.
func start(t *testing.T) (server, local clone) {
	t.Helper()
	root := t.TempDir()
	server, local = clone{t, filepath.Join(root, "server")}, clone{t, filepath.Join(root, "local")}
	clone{t, root}.git("init", "--quiet", "--initial-branch=main", server.dir)
	server.commit("first")
	server.commit("second")
	clone{t, root}.git("clone", "--quiet", server.dir, local.dir)
	return server, local
}

func (c clone) open(o gitevent.Options) *gitevent.Repository {
	c.t.Helper()
	r, err := gitevent.Open(c.t.Context(), c.dir, o)
	if err != nil {
		c.t.Fatal(err)
	}
	return r
}

func (c clone) current(o gitevent.Options) (pipeline.Event, []string) {
	c.t.Helper()
	r := c.open(o)
	event, err := r.Current(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return event, r.Notes()
}

func TestPush(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		prepare   func(local clone)
		committed bool
		branch    string
		changed   []string
		fresh     bool
		note      string
	}{
		"all is pushed: the last push":                  {prepare: func(clone) {}, branch: "main", changed: []string{"second"}},
		"all is pushed, and a file is not committed":    {prepare: func(c clone) { c.write("new") }, branch: "main", changed: []string{"new"}},
		"all is pushed, and uncommitted does not count": {prepare: func(c clone) { c.write("new") }, committed: true, branch: "main", changed: []string{"second"}},
		"two commits and a file": {
			prepare: func(c clone) { c.commit("docs/ä b"); c.commit("src/a"); c.write("second"); c.write("un/tracked") },
			branch:  "main", changed: []string{"docs/ä b", "second", "src/a", "un/tracked"},
		},
		"two commits without the file": {
			prepare: func(c clone) { c.commit("docs/a"); c.commit("src/a"); c.write("second") }, committed: true,
			branch: "main", changed: []string{"docs/a", "src/a"},
		},
		"a rename and a deletion": {
			prepare: func(c clone) { c.git("mv", "first", "moved"); c.git("rm", "--quiet", "second") }, branch: "main", changed: []string{"first", "moved", "second"},
		},
		"a branch that origin lacks": {
			prepare: func(c clone) { c.git("switch", "--quiet", "--create", "topic"); c.commit("a") }, branch: "topic", fresh: true, note: "no branch topic",
		},
		"a branch that tracks another": {
			prepare: func(c clone) { c.git("checkout", "--quiet", "-b", "topic", "origin/main"); c.commit("a") }, branch: "topic", fresh: true, note: "no branch topic",
		},
		"a branch that is pushed under another name": {
			prepare: func(c clone) {
				c.git("checkout", "--quiet", "-b", "mine", "origin/main")
				c.git("config", "push.default", "upstream")
				c.commit("a")
			}, branch: "mine", changed: []string{"a"},
		},
		"behind origin": {prepare: func(c clone) { c.git("reset", "--quiet", "--hard", "HEAD^") }, branch: "main", fresh: true},
		"rewritten": {
			prepare: func(c clone) { c.git("reset", "--quiet", "--hard", "HEAD^"); c.commit("a") }, branch: "main", changed: []string{"a", "second"},
		},
		"no remote": {
			prepare: func(c clone) { c.git("remote", "remove", "origin"); c.commit("a"); c.write("b") }, branch: "main", changed: []string{"a", "b"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, local := start(t)
			c.prepare(local)
			event, notes := local.current(gitevent.Options{Committed: c.committed})
			if event.Branch != c.branch || event.NewBranch != c.fresh {
				t.Errorf("%+v", event)
			}
			if diff := cmp.Diff(c.changed, event.Changed); diff != "" {
				t.Error(diff)
			}
			if got := strings.Join(notes, "\n"); (c.note == "") != (got == "") || !strings.Contains(got, c.note) {
				t.Errorf("notes: %s", got)
			}
		})
	}
}

func TestInterruptedRebase(t *testing.T) {
	t.Parallel()
	_, local := start(t)
	local.commit("a")
	in := git.In(local.dir)
	in.Set = []string{"GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com"}
	if _, err := in.Text(t.Context(), "rebase", "--quiet", "--force-rebase", "--exec=false", "HEAD^"); err == nil {
		t.Fatal("the rebase did not stop")
	}
	if event, _ := local.current(gitevent.Options{}); event.Branch != "main" {
		t.Errorf("%+v", event)
	}
}

func TestPushOfAFirstCommitAndOfNone(t *testing.T) {
	t.Parallel()
	local := clone{t, t.TempDir()}
	local.git("init", "--quiet", "--initial-branch=trunk", ".")
	local.write("a")
	if event, _ := local.current(gitevent.Options{}); !event.NewBranch || event.Branch != "trunk" {
		t.Errorf("no commit: %+v", event)
	}
	local.commit("a")
	if event, _ := local.current(gitevent.Options{}); !event.NewBranch || event.Predefined["CI_COMMIT_AUTHOR"] != "A <a@example.com>" {
		t.Errorf("first commit: %+v", event)
	}
	if _, err := gitevent.Open(t.Context(), t.TempDir(), gitevent.Options{}); !errors.Is(err, gitevent.ErrNotARepository) {
		t.Error(err)
	}
}

// The worktree of a bare or mirrored clone has the server's branches as its own, not as remote-tracking ones.
func TestWorktreeOfABareClone(t *testing.T) {
	t.Parallel()
	server, _ := start(t)
	for _, kind := range []string{"--bare", "--mirror"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			root := clone{t, t.TempDir()}
			local := clone{t, filepath.Join(root.dir, "local")}
			root.git("clone", "--quiet", kind, server.dir, "bare.git")
			root.git("-C", "bare.git", "worktree", "add", "--quiet", local.dir, "main")
			local.commit("a")
			event, notes := local.current(gitevent.Options{})
			if event.NewBranch || !slices.Equal(event.Changed, []string{"a"}) || len(notes) != 1 || !strings.Contains(notes[0], "does not track") {
				t.Errorf("%+v, %v", event, notes)
			}
		})
	}
}

// Paths count from the project's folder, and those outside of it do not change the project.
func TestProjectBelowTheTop(t *testing.T) {
	t.Parallel()
	_, local := start(t)
	local.commit("app/a", "other")
	local.write("app/b")
	sub := clone{t, filepath.Join(local.dir, "app")}
	if event, _ := sub.current(gitevent.Options{}); !slices.Equal(event.Changed, []string{"a", "b"}) {
		t.Errorf("%v", event.Changed)
	}
}

func TestShallowClone(t *testing.T) {
	t.Parallel()
	server, _ := start(t)
	local := clone{t, filepath.Join(t.TempDir(), "shallow")}
	clone{t, t.TempDir()}.git("clone", "--quiet", "--depth=1", "file://"+server.dir, local.dir)
	event, notes := local.current(gitevent.Options{})
	if !event.NewBranch || len(notes) != 1 || !strings.Contains(notes[0], "--deepen") {
		t.Errorf("%+v, %v", event, notes)
	}
	local.write("a")
	if event, notes = local.current(gitevent.Options{}); event.NewBranch || !slices.Equal(event.Changed, []string{"a"}) || notes != nil {
		t.Errorf("%+v, %v", event, notes)
	}
}

func TestMergeRequest(t *testing.T) {
	t.Parallel()
	server, local := start(t)
	server.commit("theirs")
	local.git("fetch", "--quiet")
	local.git("switch", "--quiet", "--create", "topic")
	local.commit("mine")
	local.write("new")
	event, err := local.open(gitevent.Options{}).MergeRequest(t.Context(), "", "")
	if err != nil || !slices.Equal(event.Changed, []string{"mine", "new"}) || event.MergeRequestInfo.SourceBranch != "topic" ||
		event.MergeRequestInfo.Title != "change mine" || event.Predefined["CI_MERGE_REQUEST_DIFF_BASE_SHA"] != local.git("rev-parse", "main") {
		t.Errorf("%+v, %v", event, err)
	}
	r := local.open(gitevent.Options{})
	if event, err = r.MergeRequest(t.Context(), "", "gone"); err != nil || event.Changed != nil || len(r.Notes()) != 1 {
		t.Errorf("%+v, %v", event, err)
	}
}

// A detached HEAD is a push to no branch, least of all to the default branch.
func TestDetachedHead(t *testing.T) {
	t.Parallel()
	_, local := start(t)
	head := local.git("rev-parse", "HEAD")
	local.git("tag", "v1.0.0")
	local.git("checkout", "--quiet", "--detach")
	for name, source := range map[string]func(r *gitevent.Repository) (pipeline.Event, error){
		"current":       func(r *gitevent.Repository) (pipeline.Event, error) { return r.Current(t.Context()) },
		"push":          func(r *gitevent.Repository) (pipeline.Event, error) { return r.Push(t.Context(), "") },
		"merge request": func(r *gitevent.Repository) (pipeline.Event, error) { return r.MergeRequest(t.Context(), "", "main") },
		"schedule":      func(r *gitevent.Repository) (pipeline.Event, error) { return r.Other(pipeline.Schedule, "") },
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := source(local.open(gitevent.Options{})); !errors.Is(err, gitevent.ErrDetached) || !strings.Contains(err.Error(), "tags/v1.0.0") {
				t.Error(err)
			}
		})
	}
	if event, err := local.open(gitevent.Options{}).Push(t.Context(), "topic"); err != nil || event.Branch != "topic" {
		t.Errorf("%+v, %v", event, err)
	}
	for name, c := range map[string]struct {
		env   map[string]string
		check func(pipeline.Event) bool
	}{
		"a branch": {map[string]string{"CI_COMMIT_BRANCH": "topic", "CI_COMMIT_BEFORE_SHA": local.git("rev-parse", "HEAD^")}, func(e pipeline.Event) bool {
			return e.Branch == "topic" && !e.RefProtected && slices.Equal(e.Changed, []string{"second"})
		}},
		"a new branch": {map[string]string{"CI_COMMIT_BRANCH": "topic", "CI_COMMIT_BEFORE_SHA": strings.Repeat("0", 40)}, func(e pipeline.Event) bool {
			return e.Branch == "topic" && e.NewBranch
		}},
		"a tag": {map[string]string{"CI_COMMIT_SHA": head, "CI_COMMIT_TAG": "v1.0.0", "CI_COMMIT_REF_PROTECTED": "true"}, func(e pipeline.Event) bool {
			return e.Tag == "v1.0.0" && e.Branch == "" && e.RefProtected
		}},
		"a schedule": {map[string]string{"CI_COMMIT_BRANCH": "main", "CI_PIPELINE_SOURCE": "schedule"}, func(e pipeline.Event) bool {
			return e.Source == pipeline.Schedule && e.Branch == "main"
		}},
		"a merge request": {map[string]string{"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": "topic",
			"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main", "CI_MERGE_REQUEST_IID": "7", "CI_MERGE_REQUEST_LABELS": "a,b",
			"CI_PROJECT_PATH": "acme/app", "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "fork/app"}, func(e pipeline.Event) bool {
			m := e.MergeRequestInfo
			return e.Source == pipeline.MergeRequest && m.IID == 7 && m.Fork && m.SourceProject == "fork/app" && len(m.Labels) == 2
		}},
	} {
		t.Run(name, func(t *testing.T) {
			event, _ := local.current(gitevent.Options{Env: pairs(c.env)})
			if !c.check(event) {
				t.Errorf("%+v", event)
			}
		})
	}
	other := map[string]string{"CI_COMMIT_SHA": strings.Repeat("1", 40), "CI_COMMIT_BRANCH": "topic"}
	if _, err := local.open(gitevent.Options{Env: pairs(other)}).Current(t.Context()); !errors.Is(err, gitevent.ErrDetached) {
		t.Errorf("the job of another checkout: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	type remotes map[string]string
	for name, c := range map[string]struct {
		remotes remotes
		want    gitevent.Identity
	}{
		"ssh": {remotes{"origin": "git@gitlab.com:acme/team/orders.git"}, gitevent.Identity{Path: "acme/team/orders", Host: "gitlab.com", Protocol: "https",
			DefaultBranch: "master", Projects: "ssh://git@gitlab.com/", Remote: "origin"}},
		"https with a port": {remotes{"origin": "https://gitlab.example.com:8443/Acme/Orders"}, gitevent.Identity{Path: "Acme/Orders", Host: "gitlab.example.com:8443",
			Protocol: "https", DefaultBranch: "master", Projects: "https://gitlab.example.com:8443/", Remote: "origin"}},
		"ssh with a port": {remotes{"origin": "ssh://git@gitlab.example.com:2222/acme/o.git"}, gitevent.Identity{Path: "acme/o", Host: "gitlab.example.com",
			Protocol: "https", DefaultBranch: "master", Projects: "ssh://git@gitlab.example.com:2222/", SSHPort: "2222", Remote: "origin"}},
		"GitHub": {remotes{"origin": "git@github.com:acme/o.git"}, gitevent.Identity{Path: "acme/o", DefaultBranch: "master", Remote: "origin", Foreign: "github.com"}},
		"GitHub and GitLab": {remotes{"origin": "git@github.com:acme/o.git", "mirror": "https://gitlab.com/acme/mirror.git"}, gitevent.Identity{Path: "acme/mirror",
			Host: "gitlab.com", Protocol: "https", DefaultBranch: "master", Projects: "https://gitlab.com/", Remote: "mirror"}},
		"another name": {remotes{"upstream": "https://gitlab.com/acme/o"}, gitevent.Identity{Path: "acme/o", Host: "gitlab.com", Protocol: "https", DefaultBranch: "master",
			Projects: "https://gitlab.com/", Remote: "upstream"}},
		"another host for ssh on port 443": {remotes{"origin": "ssh://git@altssh.gitlab.com:443/acme/o.git"}, gitevent.Identity{Path: "acme/o", Host: "gitlab.com",
			Protocol: "https", DefaultBranch: "master", Projects: "ssh://git@altssh.gitlab.com:443/", Remote: "origin"}},
		"an IPv6 address": {remotes{"origin": "git@[::1]:g/p.git"}, gitevent.Identity{Path: "g/p", Host: "[::1]", Protocol: "https", DefaultBranch: "master",
			Projects: "ssh://git@[::1]/", Remote: "origin"}},
		"an IPv6 address with a port": {remotes{"origin": "https://ann:secret@[::1]:8443/G/P.git/"}, gitevent.Identity{Path: "G/P", Host: "[::1]:8443", Protocol: "https",
			DefaultBranch: "master", Projects: "https://[::1]:8443/", Remote: "origin"}},
		"http with the port of https": {remotes{"origin": "http://10.0.0.1:443/g/p"}, gitevent.Identity{Path: "g/p", Host: "10.0.0.1:443", Protocol: "http",
			DefaultBranch: "master", Projects: "http://10.0.0.1:443/", Remote: "origin"}},
		"the short form with a port": {remotes{"origin": "[git@gitlab.example.com:2222]:g/p.git"}, gitevent.Identity{Path: "g/p", Host: "gitlab.example.com",
			Protocol: "https", DefaultBranch: "master", SSHPort: "2222", Projects: "ssh://git@gitlab.example.com:2222/", Remote: "origin"}},
		"a file":  {remotes{"origin": "file:///srv/git/g/p.git"}, gitevent.Identity{DefaultBranch: "master"}},
		"Windows": {remotes{"origin": "C:/src/p.git"}, gitevent.Identity{DefaultBranch: "master"}},
		"a path":  {remotes{"origin": "../server"}, gitevent.Identity{DefaultBranch: "master"}},
		"none":    {remotes{}, gitevent.Identity{DefaultBranch: "master"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			local := clone{t, t.TempDir()}
			local.git("init", "--quiet", "--initial-branch=master", ".")
			local.commit("a")
			for name, url := range c.remotes {
				local.git("remote", "add", name, url)
			}
			if diff := cmp.Diff(c.want, local.open(gitevent.Options{}).Identity); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestDefaultBranch(t *testing.T) {
	t.Parallel()
	server, local := start(t)
	server.git("branch", "--move", "main", "trunk")
	server.git("branch", "other")
	if got := local.open(gitevent.Options{}).Identity.DefaultBranch; got != "main" {
		t.Errorf("as it was cloned: %s", got)
	}
	again := clone{t, filepath.Join(t.TempDir(), "again")}
	clone{t, t.TempDir()}.git("clone", "--quiet", "--branch=other", server.dir, again.dir)
	if got := again.open(gitevent.Options{}).Identity.DefaultBranch; got != "trunk" {
		t.Errorf("on another branch: %s", got)
	}
	job := map[string]string{"CI_COMMIT_SHA": again.git("rev-parse", "HEAD"), "CI_PROJECT_PATH": "acme/o", "CI_DEFAULT_BRANCH": "develop", "CI_SERVER_HOST": "gitlab.example.com"}
	id := again.open(gitevent.Options{Env: pairs(job)}).Identity
	if id.DefaultBranch != "develop" || id.Path != "acme/o" || id.Host != "gitlab.example.com" || id.Remote != "CI" {
		t.Errorf("in a job: %+v", id)
	}
}

// GIT_DIR of a hook belongs to another repository.
func TestAnotherRepositoryInTheEnvironment(t *testing.T) {
	_, local := start(t)
	other := clone{t, t.TempDir()}
	other.git("init", "--quiet", "--initial-branch=other", ".")
	other.commit("x")
	t.Setenv("GIT_DIR", filepath.Join(other.dir, ".git"))
	t.Setenv("GIT_INDEX_FILE", filepath.Join(other.dir, ".git", "index"))
	if event, _ := local.current(gitevent.Options{}); event.Branch != "main" || !slices.Equal(event.Changed, []string{"second"}) {
		t.Errorf("%+v", event)
	}
}
