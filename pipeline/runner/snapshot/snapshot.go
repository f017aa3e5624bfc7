// Package snapshot freezes the sources of a git work tree, uncommitted and untracked files included, and makes checkouts
// of them.
//
// A snapshot is a separate bare repository beside the project's: it shares the project's objects by hard links, adds
// those of the uncommitted files, and changes nothing in the project's .git. It does not change if the work
// tree changes, commits are amended, or git collects garbage.
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
	// Changed reports whether the sources differ from the commit.
	Changed bool
	// Nested are untracked repositories in the work tree, which are not part of the sources.
	Nested []string `json:",omitempty"`
}

// Options select what a snapshot contains.
type Options struct {
	// CommittedOnly leaves uncommitted and untracked files out.
	CommittedOnly bool
	// Env is the environment of git.
	Env []string
}

// ErrNotARepository is returned by Take for a folder outside of any git work tree.
var ErrNotARepository = errors.New("not a git repository: run `git init` and commit")

// ErrNoCommit is returned by Take for a repository without commits.
var ErrNoCommit = errors.New("the repository has no commit yet: commit first (`git add . && git commit`)")

// Take freezes the work tree of project into a new bare repository dir.
func Take(ctx context.Context, project, dir string, options Options) (*Snapshot, error) {
	work := git.Command{Dir: project, Env: options.Env}
	commit, err := Head(ctx, project, options.Env)
	if err != nil {
		return nil, err
	}
	clone := git.Command{Env: options.Env, Set: []string{git.LazyFetch}}
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
	if !options.CommittedOnly {
		if err := s.addWorkTree(ctx, work); err != nil {
			return nil, fmt.Errorf("snapshot of the sources: %w", err)
		}
	}
	if s.Changed = s.Tree != committed; s.Changed {
		if _, err := bare.Text(ctx, "update-ref", treeRef, s.Tree); err != nil {
			return nil, fmt.Errorf("snapshot of the sources: %w", err)
		}
	}
	if err := s.fetchesFrom(ctx, work); err != nil {
		return nil, fmt.Errorf("snapshot of the sources: %w", err)
	}
	return s, nil
}

// fetchesFrom lets the snapshot of a partial clone (`git clone --filter`) get objects that the clone lacks from where the clone
// gets them.
func (s *Snapshot) fetchesFrom(ctx context.Context, work git.Command) error {
	promisors, err := work.Text(ctx, "config", "--get-regexp", `^remote\..*\.promisor$`)
	if err != nil {
		return ctx.Err() // the clone is complete
	}
	key, _, _ := strings.Cut(promisors, " ")
	name := strings.TrimSuffix(strings.TrimPrefix(key, "remote."), ".promisor")
	url, err := work.Text(ctx, "remote", "get-url", name)
	if err != nil {
		return err
	}
	if _, remote := git.ParseRemote(url); !remote && !strings.Contains(url, "://") && !filepath.IsAbs(url) {
		top, err := work.Text(ctx, "rev-parse", "--show-toplevel")
		if err != nil {
			return err
		}
		url = filepath.Join(top, url)
	}
	filter, err := work.Text(ctx, "config", "--default", "blob:none", "--get", "remote."+name+".partialclonefilter")
	if err != nil {
		return err
	}
	return appendTo(filepath.Join(s.Dir, "config"), "[core]\n\trepositoryFormatVersion = 1\n[extensions]\n\tpartialClone = promisor\n"+
		fmt.Sprintf("[remote \"promisor\"]\n\turl = %s\n\tpromisor = true\n\tpartialCloneFilter = %s\n", quoteConfig(url), quoteConfig(filter)))
}

// Refs of the snapshot for commits that may be on no branch or tag.
const (
	commitRef = "refs/slipway/commit"
	treeRef   = "refs/slipway/tree"
)

// Head returns the commit that is checked out in a work tree. Its errors name what is missing.
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

// mirrorRefs adds to the snapshot the refs that a job can fetch on GitLab: the branches and tags of the project, and, as
// branches, those that only its remote has. The commit itself stays reachable if the branches change.
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
	fmt.Fprintf(&updates, "update %s %s\n", commitRef, commit)
	bare.Stdin = strings.NewReader(updates.String())
	_, err = bare.Output(ctx, "update-ref", "--stdin")
	return err
}

// addWorkTree adds the work tree to the snapshot, as a tree object. It works on a copy of the index: the copy knows which files are
// unchanged, and the project's index is not changed.
func (s *Snapshot) addWorkTree(ctx context.Context, work git.Command) error {
	paths, err := work.Text(ctx, "rev-parse", "--path-format=absolute", "--git-path", "index", "--git-path", "objects", "--show-toplevel")
	if err != nil {
		return err
	}
	lines := strings.Split(paths, "\n")
	if len(lines) != 3 {
		return fmt.Errorf("git rev-parse printed %q", paths)
	}
	index, objects, top := lines[0], lines[1], lines[2]
	temporary, err := filepath.Abs(filepath.Join(s.Dir, "work-tree.index"))
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	in := git.Command{Dir: top, Env: work.Env, Set: []string{
		"GIT_INDEX_FILE=" + temporary,
		"GIT_OBJECT_DIRECTORY=" + filepath.Join(filepath.Dir(temporary), "objects"),
		"GIT_ALTERNATE_OBJECT_DIRECTORIES=" + objects,
	}}
	if err := copyIndex(index, temporary); err != nil {
		if _, err := in.Text(ctx, "read-tree", "HEAD"); err != nil {
			return err
		}
	}
	if s.Nested, err = nestedRepositories(ctx, in); err != nil {
		return err
	}
	add := []string{"-c", "core.safecrlf=false", "add", "--all"}
	if sparse, err := in.Text(ctx, "config", "--type=bool", "core.sparseCheckout"); err == nil && sparse == "true" {
		add = append(add, "--sparse") // files outside of the sparse checkout's folders count as well
	}
	add = append(add, "--", ".")
	for _, nested := range s.Nested {
		add = append(add, ":(exclude,literal)"+nested)
	}
	if _, err := in.Text(ctx, add...); err != nil {
		return err
	}
	if s.Tree, err = in.Text(ctx, "write-tree"); err != nil {
		return err
	}
	return s.copyMissing(ctx, in)
}

// copyIndex copies an index with its time: git does not trust the entry of a file that is as new as the index.
func copyIndex(from, to string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

// nestedRepositories lists the untracked folders of a work tree that are separate repositories. Git would add their commits
// without their files, or refuse those that have no commit.
func nestedRepositories(ctx context.Context, in git.Command) ([]string, error) {
	untracked, err := in.List(ctx, "ls-files", "--others", "--exclude-standard", "-z")
	if err != nil {
		return nil, err
	}
	var nested []string
	for _, path := range untracked {
		// Git descends into untracked folders, but not into repositories.
		if folder, isFolder := strings.CutSuffix(path, "/"); isFolder {
			nested = append(nested, folder)
		}
	}
	return nested, nil
}

// copyMissing adds the objects of the sources that only the project has: what was staged in a clone that is shallow, of which git
// copies only what its commits need. in sees the objects of both.
func (s *Snapshot) copyMissing(ctx context.Context, in git.Command) error {
	shallow, err := in.Text(ctx, "rev-parse", "--is-shallow-repository")
	if err != nil || shallow != "true" {
		return err
	}
	listed, err := in.Text(ctx, "ls-tree", "-r", "-t", "--format=%(objecttype) %(objectname)", s.Tree)
	if err != nil {
		return err
	}
	names := s.Tree + "\n"
	for line := range strings.Lines(listed) {
		if kind, name, _ := strings.Cut(line, " "); kind != "commit" {
			names += name
		}
	}
	bare := git.Command{Dir: s.Dir, Env: in.Env, Stdin: strings.NewReader(names + "\n")}
	found, err := bare.Text(ctx, "cat-file", "--batch-check=%(objectname)")
	if err != nil {
		return err
	}
	missing := ""
	for line := range strings.Lines(found) {
		if name, isMissing := strings.CutSuffix(strings.TrimSpace(line), " missing"); isMissing && name != "" {
			missing += name + "\n"
		}
	}
	if missing == "" {
		return nil
	}
	in.Stdin = strings.NewReader(missing)
	_, err = in.Text(ctx, "pack-objects", "--quiet", filepath.Join(s.Dir, "objects", "pack", "pack"))
	return err
}

// Untracked lists the files of a checkout that are not among its sources, ignored ones included, as GitLab's runner
// counts them for `untracked: true`.
func Untracked(ctx context.Context, dir string, env []string) ([]string, error) {
	return git.Command{Dir: dir, Env: env}.List(ctx, "ls-files", "--others", "-z")
}

// LastCommit returns the commit that last changed any of the paths, up to a revision, for cache keys; empty if none did.
func LastCommit(ctx context.Context, dir string, env []string, revision string, paths ...string) (string, error) {
	return git.Command{Dir: dir, Env: env}.Text(ctx, append([]string{"log", "-1", "--format=%H", revision, "--"}, paths...)...)
}
