// Package snapshot freezes the sources of a git work tree, uncommitted and untracked files included, and makes checkouts
// of them.
//
// A snapshot is a bare repository of its own beside the project's: it shares the project's objects by hard links, adds
// those of the uncommitted files, and leaves nothing behind in the project's .git. It stays what it is when the work
// tree changes, when commits are amended, and when git collects garbage.
package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Snapshot is a frozen work tree.
type Snapshot struct {
	// Dir is the bare repository.
	Dir string
	// Commit is the commit that was checked out; Tree is the tree of the sources, Commit's own if nothing was changed.
	Commit string
	Tree   string
	// Changed says that the sources differ from the commit.
	Changed bool
}

// Options say what a snapshot holds.
type Options struct {
	// CommittedOnly leaves uncommitted and untracked files out.
	CommittedOnly bool
	// Env is the environment of git.
	Env []string
}

// ErrNotARepository is what Take returns for a folder outside of any git work tree.
var ErrNotARepository = errors.New("not a git repository: run `git init` and commit, or name the project's folder with --directory")

// ErrNoCommit is what Take returns for a repository without commits.
var ErrNoCommit = errors.New("the repository has no commit yet: commit first (`git add . && git commit`)")

// ErrNoGit is what Take returns where git is not installed.
var ErrNoGit = errors.New("git is not installed: install it (Debian, Ubuntu: apt-get install git)")

// Take freezes the work tree of project into a new bare repository dir.
func Take(ctx context.Context, project, dir string, options Options) (*Snapshot, error) {
	work := git{dir: project, env: options.Env}
	commit, err := Head(ctx, project, options.Env)
	if err != nil {
		return nil, err
	}
	clone := git{env: options.Env}
	if _, err := clone.run(ctx, nil, "clone", "--quiet", "--bare", "--no-tags", project, dir); err != nil {
		return nil, fmt.Errorf("snapshot of the sources: %w", err)
	}
	s := &Snapshot{Dir: dir, Commit: commit}
	bare := git{dir: dir, env: options.Env}
	if err := mirrorRefs(ctx, work, bare, commit); err != nil {
		return nil, fmt.Errorf("snapshot of the sources: %w", err)
	}
	committed, err := bare.run(ctx, nil, "rev-parse", commit+"^{tree}")
	if err != nil {
		return nil, fmt.Errorf("snapshot of the sources: %w", err)
	}
	s.Tree = committed
	if options.CommittedOnly {
		return s, nil
	}
	if s.Tree, err = writeWorkTree(ctx, work, dir); err != nil {
		return nil, fmt.Errorf("snapshot of the sources: %w", err)
	}
	s.Changed = s.Tree != committed
	return s, nil
}

// Head gives the commit that is checked out in a work tree. Its errors say what is missing.
func Head(ctx context.Context, project string, env []string) (string, error) {
	if _, err := exec.LookPath("git"); err != nil {
		return "", ErrNoGit
	}
	work := git{dir: project, env: env}
	if _, err := work.run(ctx, nil, "rev-parse", "--show-toplevel"); err != nil {
		if strings.Contains(err.Error(), "not a git repository") {
			return "", fmt.Errorf("%s: %w", project, ErrNotARepository)
		}
		return "", err
	}
	commit, err := work.run(ctx, nil, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if err != nil {
		return "", fmt.Errorf("%s: %w", project, ErrNoCommit)
	}
	return commit, nil
}

// mirrorRefs gives the snapshot the refs that a job can fetch on GitLab: the branches and tags of the project, and, as
// branches, what is only known from its remote. The commit itself stays reachable whatever happens to the branches.
func mirrorRefs(ctx context.Context, work, bare git, commit string) error {
	refs, err := work.run(ctx, nil, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags", "refs/remotes/origin")
	if err != nil {
		return err
	}
	var updates strings.Builder
	known := map[string]bool{}
	for line := range strings.Lines(refs) {
		object, ref, _ := strings.Cut(strings.TrimSpace(line), " ")
		if branch, remote := strings.CutPrefix(ref, "refs/remotes/origin/"); remote {
			ref = "refs/heads/" + branch
			if branch == "HEAD" || known[ref] {
				continue
			}
		}
		known[ref] = true
		fmt.Fprintf(&updates, "update %s %s\n", ref, object)
	}
	fmt.Fprintf(&updates, "update refs/slipway/commit %s\n", commit)
	_, err = bare.run(ctx, strings.NewReader(updates.String()), "update-ref", "--stdin")
	return err
}

// writeWorkTree writes the work tree as a tree object into the bare repository. It works on a copy of the index: the copy
// knows which files are unchanged, and the project's own stays as it is.
func writeWorkTree(ctx context.Context, work git, bare string) (string, error) {
	index, err := work.run(ctx, nil, "rev-parse", "--git-path", "index")
	if err != nil {
		return "", err
	}
	objects, err := work.run(ctx, nil, "rev-parse", "--git-path", "objects")
	if err != nil {
		return "", err
	}
	top, err := work.run(ctx, nil, "rev-parse", "--show-toplevel")
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(index) {
		index = filepath.Join(work.dir, index)
	}
	if !filepath.IsAbs(objects) {
		objects = filepath.Join(work.dir, objects)
	}
	if objects, err = filepath.Abs(objects); err != nil {
		return "", err
	}
	temporary, err := filepath.Abs(filepath.Join(bare, "work-tree.index"))
	if err != nil {
		return "", err
	}
	defer os.Remove(temporary)
	in := git{dir: top, env: work.env, own: []string{
		"GIT_INDEX_FILE=" + temporary,
		"GIT_OBJECT_DIRECTORY=" + filepath.Join(filepath.Dir(temporary), "objects"),
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + objects,
	}}
	if content, err := os.ReadFile(index); err != nil || os.WriteFile(temporary, content, 0o600) != nil {
		if _, err := in.run(ctx, nil, "read-tree", "HEAD"); err != nil {
			return "", err
		}
	}
	if _, err := in.run(ctx, nil, "-c", "advice.addEmbeddedRepo=false", "-c", "core.safecrlf=false", "add", "--all"); err != nil {
		return "", err
	}
	return in.run(ctx, nil, "write-tree")
}

// Checkout makes a repository at dir whose HEAD is the commit and whose index and files are the sources. Its remote
// "origin" is the snapshot, so that `git fetch origin main` works as it does on GitLab, without a network.
func (s *Snapshot) Checkout(ctx context.Context, dir string, env []string) error {
	clone := git{env: env}
	if _, err := clone.run(ctx, nil, "clone", "--quiet", "--shared", "--no-checkout", s.Dir, dir); err != nil {
		return fmt.Errorf("checkout: %w", err)
	}
	// Detached by hand: git has no command that moves HEAD and touches neither a branch nor the index.
	if err := os.WriteFile(filepath.Join(dir, ".git", "HEAD"), []byte(s.Commit+"\n"), 0o600); err != nil {
		return fmt.Errorf("checkout: %w", err)
	}
	if _, err := (git{dir: dir, env: env}).run(ctx, nil, "read-tree", "--reset", "-u", s.Tree); err != nil {
		return fmt.Errorf("checkout: %w", err)
	}
	return nil
}

// Untracked lists the files of a checkout that are not among its sources, ignored ones included, as GitLab's runner
// counts them for `untracked: true`.
func Untracked(ctx context.Context, dir string, env []string) ([]string, error) {
	out, err := git{dir: dir, env: env}.run(ctx, nil, "ls-files", "--others", "-z")
	if err != nil || out == "" {
		return nil, err
	}
	return strings.Split(strings.TrimSuffix(out, "\x00"), "\x00"), nil
}

// LastCommit gives the commit that last changed any of the paths, for cache keys; empty if none did.
func LastCommit(ctx context.Context, dir string, env []string, paths ...string) (string, error) {
	return git{dir: dir, env: env}.run(ctx, nil, append([]string{"log", "-1", "--format=%H", "--"}, paths...)...)
}

// git runs git in a folder.
type git struct {
	dir string
	env []string
	// own are variables that point git at other files than the folder's.
	own []string
}

func (g git) run(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir = g.dir
	command.Env = append(append(withoutGit(g.env), g.own...), "LC_ALL=C", "GIT_TERMINAL_PROMPT=0", "GIT_OPTIONAL_LOCKS=0")
	command.Stdin = stdin
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			return "", fmt.Errorf("git %s: %s", args[0], text)
		}
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSuffix(stdout.String(), "\n"), nil
}

// withoutGit drops the variables by which git, when it runs a hook, points at the repository that it works on.
func withoutGit(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		switch name {
		case "GIT_DIR", "GIT_WORK_TREE", "GIT_PREFIX", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES":
			return true
		}
		return false
	})
}

// UpdateSubmodules fills the submodules of a checkout. What the project's work tree has of them is used before the network.
func UpdateSubmodules(ctx context.Context, checkout, project string, recursive bool, env []string) error {
	in := git{dir: checkout, env: env}
	names, err := in.run(ctx, nil, "config", "--file", ".gitmodules", "--get-regexp", `^submodule\..*\.path$`)
	if err != nil {
		// No .gitmodules: nothing to do.
		return nil
	}
	if _, err := in.run(ctx, nil, "submodule", "init"); err != nil {
		return err
	}
	for line := range strings.Lines(names) {
		key, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		local := filepath.Join(project, path)
		if _, err := os.Stat(filepath.Join(local, ".git")); err != nil {
			continue
		}
		if _, err := in.run(ctx, nil, "config", strings.TrimSuffix(key, ".path")+".url", local); err != nil {
			return err
		}
	}
	args := []string{"-c", "protocol.file.allow=always", "submodule", "update"}
	if recursive {
		args = append(args, "--init", "--recursive")
	}
	_, err = in.run(ctx, nil, args...)
	return err
}
