// Package snapshot freezes the sources of a git work tree, uncommitted and untracked files included, and makes checkouts
// of them.
//
// A snapshot is a bare repository of its own beside the project's: it shares the project's objects by hard links, adds
// those of the uncommitted files, and leaves nothing behind in the project's .git. It stays what it is when the work
// tree changes, when commits are amended, and when git collects garbage.
package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/git"
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

// Take freezes the work tree of project into a new bare repository dir.
func Take(ctx context.Context, project, dir string, options Options) (*Snapshot, error) {
	work := git.Command{Dir: project, Env: options.Env}
	commit, err := Head(ctx, project, options.Env)
	if err != nil {
		return nil, err
	}
	clone := git.Command{Env: options.Env}
	if _, err := clone.Text(ctx, "clone", "--quiet", "--bare", "--no-tags", project, dir); err != nil {
		return nil, fmt.Errorf("snapshot of the sources: %w", err)
	}
	s := &Snapshot{Dir: dir, Commit: commit}
	bare := git.Command{Dir: dir, Env: options.Env}
	if err := mirrorRefs(ctx, work, bare, commit); err != nil {
		return nil, fmt.Errorf("snapshot of the sources: %w", err)
	}
	committed, err := bare.Text(ctx, "rev-parse", commit+"^{tree}")
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
	work := git.Command{Dir: project, Env: env}
	if _, err := work.Text(ctx, "rev-parse", "--show-toplevel"); err != nil {
		if errors.Is(err, git.ErrNotARepository) {
			return "", fmt.Errorf("%s: %w", project, ErrNotARepository)
		}
		return "", err
	}
	commit, err := work.Text(ctx, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
	if err != nil {
		return "", fmt.Errorf("%s: %w", project, ErrNoCommit)
	}
	return commit, nil
}

// mirrorRefs gives the snapshot the refs that a job can fetch on GitLab: the branches and tags of the project, and, as
// branches, what is only known from its remote. The commit itself stays reachable whatever happens to the branches.
func mirrorRefs(ctx context.Context, work, bare git.Command, commit string) error {
	refs, err := work.Text(ctx, "for-each-ref", "--format=%(objectname) %(refname)", "refs/heads", "refs/tags", "refs/remotes/origin")
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
	bare.Stdin = strings.NewReader(updates.String())
	_, err = bare.Output(ctx, "update-ref", "--stdin")
	return err
}

// writeWorkTree writes the work tree as a tree object into the bare repository. It works on a copy of the index: the copy
// knows which files are unchanged, and the project's own stays as it is.
func writeWorkTree(ctx context.Context, work git.Command, bare string) (string, error) {
	index, err := work.Text(ctx, "rev-parse", "--git-path", "index")
	if err != nil {
		return "", err
	}
	objects, err := work.Text(ctx, "rev-parse", "--git-path", "objects")
	if err != nil {
		return "", err
	}
	top, err := work.Text(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return "", err
	}
	if !filepath.IsAbs(index) {
		index = filepath.Join(work.Dir, index)
	}
	if !filepath.IsAbs(objects) {
		objects = filepath.Join(work.Dir, objects)
	}
	if objects, err = filepath.Abs(objects); err != nil {
		return "", err
	}
	temporary, err := filepath.Abs(filepath.Join(bare, "work-tree.index"))
	if err != nil {
		return "", err
	}
	defer os.Remove(temporary)
	in := git.Command{Dir: top, Env: work.Env, Set: []string{
		"GIT_INDEX_FILE=" + temporary,
		"GIT_OBJECT_DIRECTORY=" + filepath.Join(filepath.Dir(temporary), "objects"),
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + objects,
	}}
	if content, err := os.ReadFile(index); err != nil || os.WriteFile(temporary, content, 0o600) != nil {
		if _, err := in.Text(ctx, "read-tree", "HEAD"); err != nil {
			return "", err
		}
	}
	if _, err := in.Text(ctx, "-c", "advice.addEmbeddedRepo=false", "-c", "core.safecrlf=false", "add", "--all"); err != nil {
		return "", err
	}
	return in.Text(ctx, "write-tree")
}

// Checkout makes a repository at dir whose HEAD is the commit and whose index and files are the sources. Its remote
// "origin" is the snapshot, so that `git fetch origin main` works as it does on GitLab, without a network.
func (s *Snapshot) Checkout(ctx context.Context, dir string, env []string) error {
	clone := git.Command{Env: env}
	if _, err := clone.Text(ctx, "clone", "--quiet", "--shared", "--no-checkout", s.Dir, dir); err != nil {
		return fmt.Errorf("checkout: %w", err)
	}
	// Detached by hand: git has no command that moves HEAD and touches neither a branch nor the index.
	if err := os.WriteFile(filepath.Join(dir, ".git", "HEAD"), []byte(s.Commit+"\n"), 0o600); err != nil {
		return fmt.Errorf("checkout: %w", err)
	}
	if _, err := (git.Command{Dir: dir, Env: env}).Text(ctx, "read-tree", "--reset", "-u", s.Tree); err != nil {
		return fmt.Errorf("checkout: %w", err)
	}
	return nil
}

// Untracked lists the files of a checkout that are not among its sources, ignored ones included, as GitLab's runner
// counts them for `untracked: true`.
func Untracked(ctx context.Context, dir string, env []string) ([]string, error) {
	return git.Command{Dir: dir, Env: env}.List(ctx, "ls-files", "--others", "-z")
}

// LastCommit gives the commit that last changed any of the paths, for cache keys; empty if none did.
func LastCommit(ctx context.Context, dir string, env []string, paths ...string) (string, error) {
	return git.Command{Dir: dir, Env: env}.Text(ctx, append([]string{"log", "-1", "--format=%H", "--"}, paths...)...)
}

// UpdateSubmodules fills the submodules of a checkout. What the project's work tree has of them is used before the network.
func UpdateSubmodules(ctx context.Context, checkout, project string, recursive bool, env []string) error {
	in := git.Command{Dir: checkout, Env: env}
	names, err := in.Text(ctx, "config", "--file", ".gitmodules", "--get-regexp", `^submodule\..*\.path$`)
	if err != nil {
		// No .gitmodules: nothing to do.
		return nil
	}
	if _, err := in.Text(ctx, "submodule", "init"); err != nil {
		return err
	}
	for line := range strings.Lines(names) {
		key, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		local := filepath.Join(project, path)
		if _, err := os.Stat(filepath.Join(local, ".git")); err != nil {
			continue
		}
		if _, err := in.Text(ctx, "config", strings.TrimSuffix(key, ".path")+".url", local); err != nil {
			return err
		}
	}
	args := []string{"-c", "protocol.file.allow=always", "submodule", "update"}
	if recursive {
		args = append(args, "--init", "--recursive")
	}
	_, err = in.Text(ctx, args...)
	return err
}
