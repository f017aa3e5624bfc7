package gitevent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"gitlab.com/slipway-ci/slipway/internal/git"
)

// A Repository is the state of a git repository, read once.
type Repository struct {
	// Top is the folder that holds the work tree.
	Top string
	// Identity is the project on GitLab, as far as the repository shows it.
	Identity Identity

	git     git.Command
	env     map[string]string
	prefix  string // the project's folder below Top, "" or with a slash at its end
	shallow bool

	head, parent      string // empty without commits
	author, committed string
	message           string
	branch, upstream  string // branch is empty if HEAD is detached; upstream as in "origin/main"
	pushToUpstream    bool
	dirty             []string // uncommitted and untracked paths, relative to Top

	remote   string            // the name of the remote that pushes go to; empty if there is none
	tracks   bool              // there are remote-tracking branches of remote, if it was fetched from; a bare clone has none
	refs     map[string]string // commits by the full names of branches
	heads    map[string]string // commits by the names of local branches
	symbolic map[string]string // targets of symbolic refs
	pointing []string          // branches and tags at HEAD, if it is detached

	notes []string
}

// Open reads the repository that holds dir. The error satisfies errors.Is(err, ErrNotARepository) if there is none.
func Open(ctx context.Context, dir string, o Options) (*Repository, error) {
	r := &Repository{git: git.In(dir), env: map[string]string{}, refs: map[string]string{}, heads: map[string]string{}, symbolic: map[string]string{}}
	for _, pair := range o.Env {
		name, value, _ := strings.Cut(pair, "=")
		r.env[name] = value
	}
	var settings settings
	// Each question is a separate process, and none needs the answer to another one.
	var wait sync.WaitGroup
	steps := []func(context.Context) error{
		r.readFolder, r.readCommit, r.readRefs,
		func(ctx context.Context) error { return r.readStatus(ctx, o.Committed) },
		func(ctx context.Context) (err error) { settings, err = readSettings(ctx, r.git); return err },
	}
	errs := make([]error, len(steps))
	for i, step := range steps {
		wait.Go(func() { errs[i] = step(ctx) })
	}
	wait.Wait()
	for _, err := range errs {
		if errors.Is(err, git.ErrNotARepository) {
			return nil, ErrNotARepository
		}
		if err != nil {
			return nil, err
		}
	}
	if r.branch == "" {
		r.branch = r.interrupted(ctx)
	}
	r.remote = settings.pushRemote(r.branch)
	r.tracks = strings.Contains(settings["remote."+r.remote+".fetch"], ":refs/remotes/")
	r.pushToUpstream = settings.pushToUpstream()
	if r.branch == "" {
		refs, err := r.git.Text(ctx, "for-each-ref", "--points-at=HEAD", "--format=%(refname)", "refs/heads", "refs/remotes", "refs/tags")
		if err != nil {
			return nil, err
		}
		for _, name := range strings.Fields(refs) {
			if r.symbolic[name] == "" {
				r.pointing = append(r.pointing, name)
			}
		}
	}
	return r, r.identify(ctx, settings)
}

// ErrNotARepository is the error of [Open] for a folder that no git work tree holds.
var ErrNotARepository = git.ErrNotARepository

func (r *Repository) readFolder(ctx context.Context) error {
	out, err := r.git.Text(ctx, "rev-parse", "--is-shallow-repository", "--show-prefix", "--show-toplevel")
	if err != nil {
		return err
	}
	lines := strings.SplitN(out, "\n", 3)
	if len(lines) != 3 {
		return ErrNotARepository
	}
	r.shallow, r.prefix, r.Top = lines[0] == "true", lines[1], filepath.FromSlash(lines[2])
	return nil
}

// readCommit reads HEAD, which is not there before the first commit.
func (r *Repository) readCommit(ctx context.Context) error {
	out, err := r.git.Text(ctx, "log", "-1", "--no-show-signature", "--no-color", "--format=%H%x00%P%x00%an <%ae>%x00%cI%x00%B")
	if err != nil {
		if _, unborn := r.git.Text(ctx, "rev-parse", "--verify", "--quiet", "HEAD"); unborn != nil && !errors.Is(unborn, git.ErrNotARepository) {
			return nil
		}
		return err
	}
	fields := strings.SplitN(out, "\x00", 5)
	if len(fields) != 5 {
		return errors.New("git log printed another format than it was asked for")
	}
	r.head, r.author, r.committed, r.message = fields[0], fields[2], fields[3], strings.TrimRight(fields[4], "\n")
	r.parent, _, _ = strings.Cut(fields[1], " ")
	return nil
}

// readStatus reads the branch and, unless only commits count, what is not committed.
func (r *Repository) readStatus(ctx context.Context, committed bool) error {
	untracked := "--untracked-files=all"
	if committed {
		untracked = "--untracked-files=no"
	}
	items, err := r.git.List(ctx, "-c", "status.relativePaths=false", "status", "--porcelain=v2", "--branch", "-z", untracked, "--no-renames", "--ignore-submodules=dirty")
	if err != nil {
		return err
	}
	for _, item := range items {
		kind, rest, _ := strings.Cut(item, " ")
		switch kind {
		case "#":
			key, value, _ := strings.Cut(rest, " ")
			switch {
			case key == "branch.head" && value != "(detached)":
				r.branch = value
			case key == "branch.upstream":
				r.upstream = value
			}
		case "1", "u": // "1 XY sub mH mI mW hH hI path", "u XY sub m1 m2 m3 mW h1 h2 h3 path"
			fields := map[string]int{"1": 8, "u": 10}[kind]
			if parts := strings.SplitN(item, " ", fields+1); len(parts) == fields+1 && !committed {
				r.dirty = append(r.dirty, parts[fields])
			}
		case "?":
			r.dirty = append(r.dirty, strings.TrimSuffix(rest, "/"))
		}
	}
	return nil
}

func (r *Repository) readRefs(ctx context.Context) error {
	out, err := r.git.Text(ctx, "for-each-ref", "--format=%(objectname) %(refname) %(symref)", "refs/heads", "refs/remotes")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		fields := strings.Fields(line)
		if len(fields) > 2 {
			r.symbolic[fields[1]] = fields[2]
		}
		if len(fields) > 1 {
			r.refs[fields[1]] = fields[0]
			if branch, ok := strings.CutPrefix(fields[1], "refs/heads/"); ok {
				r.heads[branch] = fields[0]
			}
		}
	}
	return nil
}

// interrupted returns the branch that a rebase or a bisection has left for a while: HEAD is detached, but nobody changed the
// branch.
func (r *Repository) interrupted(ctx context.Context) string {
	for _, name := range []string{"rebase-merge/head-name", "rebase-apply/head-name", "BISECT_START"} {
		path, err := r.git.Text(ctx, "rev-parse", "--git-path", name)
		if err != nil {
			return ""
		}
		if !filepath.IsAbs(path) {
			path = filepath.Join(r.git.Dir, path)
		}
		if text, err := os.ReadFile(path); err == nil {
			branch := strings.TrimPrefix(strings.TrimSpace(string(text)), "refs/heads/")
			if r.heads[branch] != "" {
				return branch
			}
		}
	}
	return ""
}

// settings are git's settings by their names, of which git writes in lower case what users do not choose.
type settings map[string]string

func readSettings(ctx context.Context, in git.Command) (settings, error) {
	items, err := in.List(ctx, "config", "-z", "--list")
	if err != nil {
		return nil, err
	}
	s := settings{}
	for _, item := range items {
		key, value, _ := strings.Cut(item, "\n")
		if s[key] != "" && strings.HasPrefix(key, "remote.") {
			continue // of several URLs, git fetches from the first
		}
		s[key] = value
	}
	return s, nil
}

// remotes are the names of all remotes that have a URL.
func (s settings) remotes() []string {
	var names []string
	for key := range s {
		if name, ok := strings.CutPrefix(key, "remote."); ok {
			if name, ok = strings.CutSuffix(name, ".url"); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

// pushRemote is the remote that git would push a branch to.
func (s settings) pushRemote(branch string) string {
	for _, key := range []string{"branch." + branch + ".pushremote", "remote.pushdefault", "branch." + branch + ".remote"} {
		if name := s[key]; name != "" && s["remote."+name+".url"] != "" {
			return name
		}
	}
	return s.remote()
}

// remote is origin, or the only remote there is.
func (s settings) remote() string {
	names := s.remotes()
	if s["remote.origin.url"] != "" {
		return "origin"
	}
	if len(names) == 1 {
		return names[0]
	}
	return ""
}

// fetchesAll reports whether git fetches all branches of a remote; of a single-branch clone it does not.
func (s settings) fetchesAll(remote string) bool {
	spec := s["remote."+remote+".fetch"]
	return spec == "" || strings.Contains(spec, "*")
}

func (s settings) pushToUpstream() bool {
	return s["push.default"] == "upstream" || s["push.default"] == "tracking"
}

func (s settings) rewritesURLs() bool {
	for key := range s {
		if strings.HasPrefix(key, "url.") {
			return true
		}
	}
	return false
}
