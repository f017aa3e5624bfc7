package git_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/internal/git"
)

func repository(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--initial-branch=" + name},
		{"-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "--allow-empty", "--message=" + name},
	} {
		if _, err := git.In(dir).Output(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A hook runs with GIT_DIR and GIT_INDEX_FILE of its own repository; a command for another one must not use them.
func TestCommandsSeeTheRepositoryOfTheirFolder(t *testing.T) {
	first, second := repository(t, "first"), repository(t, "second")
	t.Setenv("GIT_DIR", filepath.Join(first, ".git"))
	t.Setenv("GIT_WORK_TREE", first)
	t.Setenv("GIT_INDEX_FILE", filepath.Join(first, ".git", "index"))
	t.Setenv("GIT_PREFIX", "sub/")
	got, err := git.In(second).Text(t.Context(), "log", "-1", "--format=%s")
	if err != nil || got != "second" {
		t.Errorf("%q, %v", got, err)
	}
	got, err = git.Command{Dir: second, Set: []string{"GIT_DIR=" + filepath.Join(first, ".git")}}.Text(t.Context(), "log", "-1", "--format=%s")
	if err != nil || got != "first" {
		t.Errorf("what is set on purpose: %q, %v", got, err)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	if _, err := git.In(t.TempDir()).Output(t.Context(), "-c", "core.quotePath=false", "status"); !errors.Is(err, git.ErrNotARepository) ||
		!strings.HasPrefix(err.Error(), "git status: fatal: not a git repository") {
		t.Error(err)
	}
	var failed *git.Error
	if _, err := git.In(repository(t, "main")).Output(t.Context(), "rev-parse", "--verify", "gone"); !errors.As(err, &failed) || failed.Subcommand != "rev-parse" {
		t.Error(err)
	}
}

func TestNoGit(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := git.In(".").Output(t.Context(), "status"); !errors.Is(err, git.ErrNotInstalled) {
		t.Error(err)
	}
}

func TestParseRemote(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]git.Remote{
		"git@gitlab.com:acme-corp/orders.git":            {Scheme: "ssh", User: "git", Host: "gitlab.com", Path: "acme-corp/orders"},
		"gitlab.com:acme/a/b/c":                          {Scheme: "ssh", Host: "gitlab.com", Path: "acme/a/b/c"},
		"git@gitlab.com:/acme/orders.git/":               {Scheme: "ssh", User: "git", Host: "gitlab.com", Path: "acme/orders"},
		"git@[2001:db8::1]:acme/orders.git":              {Scheme: "ssh", User: "git", Host: "[2001:db8::1]", Path: "acme/orders"},
		"[git@::1]:acme/o.git":                           {Scheme: "ssh", User: "git", Host: "[::1]", Path: "acme/o"},
		"[git@gitlab.example.com:2222]:acme/o.git":       {Scheme: "ssh", User: "git", Host: "gitlab.example.com", Port: "2222", Path: "acme/o"},
		"git@[gitlab.example.com:22]:/acme/o":            {Scheme: "ssh", User: "git", Host: "gitlab.example.com", Path: "acme/o"},
		"ssh://git@[::1]:22/acme/o.git":                  {Scheme: "ssh", User: "git", Host: "[::1]", Path: "acme/o"},
		"https://[::1]:8443/acme/o.git":                  {Scheme: "https", Host: "[::1]", Port: "8443", Path: "acme/o"},
		"ssh://git@[FE80::1%25eth0]/acme/o.git":          {Scheme: "ssh", User: "git", Host: "[fe80::1%eth0]", Path: "acme/o"},
		"ssh://git@GitLab.Example.com:2222/Acme/Orders":  {Scheme: "ssh", User: "git", Host: "gitlab.example.com", Port: "2222", Path: "Acme/Orders"},
		"ssh://git@gitlab.example.com:22/acme/o.git":     {Scheme: "ssh", User: "git", Host: "gitlab.example.com", Path: "acme/o"},
		"git+ssh://git@gitlab.com/acme/o.git":            {Scheme: "ssh", User: "git", Host: "gitlab.com", Path: "acme/o"},
		"https://gitlab.com/acme/sub/orders.git":         {Scheme: "https", Host: "gitlab.com", Path: "acme/sub/orders"},
		"https://oauth2:secret@gitlab.com/acme/o.git/":   {Scheme: "https", Host: "gitlab.com", Path: "acme/o"},
		"https://gitlab.example.com:8443/acme/o":         {Scheme: "https", Host: "gitlab.example.com", Port: "8443", Path: "acme/o"},
		"http://localhost:8080//acme//o.git":             {Scheme: "http", Host: "localhost", Port: "8080", Path: "acme/o"},
		"https://gitlab.com:443/acme/with%20space/o.git": {Scheme: "https", Host: "gitlab.com", Path: "acme/with space/o"},
	} {
		t.Run(address, func(t *testing.T) {
			if got, ok := git.ParseRemote(address); !ok || got != want {
				t.Errorf("%s: %+v, %t", address, got, ok)
			}
		})
	}
	for _, address := range []string{"", "/srv/git/o.git", "../up", "./a:b", "file:///srv/git/o.git", "file:///C:/src/o.git", `C:\src\o`, "C:/src/o", `\\server\share\o.git`, "https://gitlab.com/", "ext::sh -c x"} {
		t.Run(fmt.Sprintf("%q", address), func(t *testing.T) {
			if got, ok := git.ParseRemote(address); ok {
				t.Errorf("%q: %+v", address, got)
			}
		})
	}
}

func TestBase(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"git@gitlab.com:acme/o.git":              "ssh://git@gitlab.com/",
		"https://u:token@gitlab.com:8443/a/o":    "https://gitlab.com:8443/",
		"ssh://git@[2001:db8::1]:2222/acme/o":    "ssh://git@[2001:db8::1]:2222/",
		"ssh://git@gitlab.example.com:2222/a/o/": "ssh://git@gitlab.example.com:2222/",
	} {
		t.Run(address, func(t *testing.T) {
			if r, _ := git.ParseRemote(address); r.Base() != want {
				t.Errorf("%s: %s", address, r.Base())
			}
		})
	}
}
