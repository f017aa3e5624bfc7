package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/git"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
)

// CheckoutOptions select what a job's repository has of the snapshot, as with GitLab's runner.
type CheckoutOptions struct {
	// URL is the value of remote.origin.url. Git fetches from the snapshot instead.
	URL string
	// Branch or Tag is the ref of the pipeline, the only one that is fetched; neither for a merge request.
	Branch, Tag string
	// Pipeline is the number in refs/pipelines/.
	Pipeline int
	// Depth is how many commits of the history are fetched. Zero fetches all of it, with all branches and tags.
	Depth int
	// FetchFlags replace the flags of git fetch.
	FetchFlags []string
	// NoFiles leaves the work tree empty.
	NoFiles bool
	// Env is the environment of git.
	Env []string
}

// refspecs returns the refspecs that GitLab lets its runner fetch.
func (o CheckoutOptions) refspecs(s *Snapshot) []string {
	specs := []string{"+" + commitRef + ":refs/pipelines/" + strconv.Itoa(o.Pipeline)}
	if s.Changed {
		specs = append(specs, "+"+treeRef+":"+treeRef)
	}
	if o.Depth == 0 {
		specs = append(specs, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
	} else if o.Tag != "" {
		specs = append(specs, "+refs/tags/"+o.Tag+":refs/tags/"+o.Tag)
	}
	if o.Branch != "" && o.Depth != 0 {
		specs = append(specs, "+"+commitRef+":refs/remotes/origin/"+o.Branch)
	}
	return specs
}

// Checkout creates a repository in a folder, which may exist if it is empty: its HEAD is the commit, detached, and its index and files are
// the sources. Its remote "origin" is the snapshot, so that `git fetch origin main` works as it does on GitLab, without a network.
// Pushes are refused, as GitLab does by default with the token of a job.
func (s *Snapshot) Checkout(ctx context.Context, dir string, o CheckoutOptions) error {
	if err := s.checkout(ctx, dir, o); err != nil {
		return fmt.Errorf("checkout: %w", err)
	}
	return nil
}

func (s *Snapshot) checkout(ctx context.Context, dir string, o CheckoutOptions) error {
	fetched, err := s.fetch(ctx, o)
	if err != nil {
		return err
	}
	if _, err := (git.Command{Env: o.Env}).Text(ctx, "init", "--quiet", "--template=", "--initial-branch=none", dir); err != nil {
		return err
	}
	own := filepath.Join(dir, ".git")
	if err := errors.Join(copyObjects(fetched, own), copyRefs(fetched, own), s.configure(own, o)); err != nil || o.NoFiles {
		return err
	}
	in := git.Command{Dir: dir, Env: append(slices.Clone(o.Env), "GIT_COMMITTER_NAME=slipway", "GIT_COMMITTER_EMAIL=slipway@localhost")}
	if _, err := in.Text(ctx, "update-ref", "--no-deref", "-m", "checkout: moving from none to "+s.Commit, "HEAD", s.Commit); err != nil {
		return err
	}
	_, err = in.Text(ctx, "read-tree", "--reset", "-u", s.Tree)
	return err
}

// fetch returns a bare repository with the refs that a job fetches. Jobs that fetch the same share it.
func (s *Snapshot) fetch(ctx context.Context, o CheckoutOptions) (string, error) {
	args := []string{"fetch", "--update-shallow"}
	if o.Depth > 0 {
		args = append(args, "--depth", strconv.Itoa(o.Depth))
	}
	flags := o.FetchFlags
	if flags == nil {
		flags = []string{"--quiet"}
	}
	args = append(append(append(args, flags...), s.Dir), o.refspecs(s)...)
	sum := sha256.Sum256([]byte(strings.Join(args, "\x00")))
	folder := filepath.Join(filepath.Dir(s.Dir), "fetched")
	dir := filepath.Join(folder, hex.EncodeToString(sum[:6])+".git")
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	temporary, err := os.MkdirTemp(folder, "new-")
	if err != nil {
		return "", err
	}
	defer func() { _ = filetree.Remove(temporary) }()
	in := git.Command{Dir: temporary, Env: o.Env, Set: []string{git.LazyFetch}}
	for _, command := range [][]string{
		{"init", "--quiet", "--bare", "--template="},
		// One pack instead of many files.
		append([]string{"-c", "fetch.unpackLimit=1"}, args...),
		{"pack-refs", "--all"},
	} {
		if _, err := in.Text(ctx, command...); err != nil {
			return "", err
		}
	}
	// Another job may have created it in the meantime.
	if err := os.Rename(temporary, dir); err != nil {
		if _, missing := os.Stat(dir); missing != nil {
			return "", err
		}
	}
	return dir, nil
}

// copyObjects adds to a repository the objects of a fetched one, as links if possible, so that a copy of .git is complete.
func copyObjects(fetched, own string) error {
	return filepath.WalkDir(filepath.Join(fetched, "objects"), func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(fetched, path)
		if err != nil {
			return err
		}
		to := filepath.Join(own, relative)
		if e.IsDir() {
			return os.MkdirAll(to, 0o750)
		}
		if err := os.Link(path, to); err == nil {
			return nil
		}
		return filetree.Copy(path, to)
	})
}

// copyRefs adds to a repository the refs of a fetched one, and its shallow boundary.
func copyRefs(fetched, own string) error {
	packed, err := os.ReadFile(filepath.Join(fetched, "packed-refs"))
	if err != nil {
		return err
	}
	var kept strings.Builder
	for line := range strings.Lines(string(packed)) {
		if !strings.HasSuffix(strings.TrimSpace(line), " "+treeRef) {
			kept.WriteString(line)
		}
	}
	if err := os.WriteFile(filepath.Join(own, "packed-refs"), []byte(kept.String()), 0o644); err != nil { //nolint:gosec
		return err
	}
	shallow, err := os.ReadFile(filepath.Join(fetched, "shallow"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.Join(err, os.WriteFile(filepath.Join(own, "shallow"), shallow, 0o644)) //nolint:gosec
}

// refusedRemote is the transport of pushes, which the settings do not allow: git's error contains the name. Without that setting git starts
// a helper of that name, and ends with 141 instead of 128 if it writes to it too late.
const refusedRemote = "push-is-refused-as-with-a-job-token"

// ownSettings is a file beside the repository's settings, which include it, as those of GitLab's runner include one.
const ownSettings = "slipway.conf"

// configure writes the settings of a job's repository that GitLab's runner writes, and those that are needed here.
func (s *Snapshot) configure(own string, o CheckoutOptions) error {
	if err := os.WriteFile(filepath.Join(own, ownSettings), fmt.Appendf(nil, "[protocol %q]\n\tallow = never\n", refusedRemote), 0o644); err != nil { //nolint:gosec // as git's own
		return err
	}
	url := o.URL
	if url == "" {
		url = s.Dir
	}
	text := "[credential]\n\tinteractive = never\n[fetch]\n\trecurseSubmodules = false\n[gc]\n\tautoDetach = false\n[init]\n\tdefaultBranch = none\n" +
		"[include]\n\tpath = " + ownSettings + "\n" +
		fmt.Sprintf("[remote \"origin\"]\n\turl = %s\n\tpushurl = %s::%s\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n", quoteConfig(url), refusedRemote, "origin")
	if url != s.Dir {
		text += fmt.Sprintf("[url %s]\n\tinsteadOf = %s\n", quoteConfig(s.Dir), quoteConfig(url))
	}
	return appendTo(filepath.Join(own, "config"), text)
}

// appendTo adds text to a file that exists.
func appendTo(name, text string) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

// quoteConfig quotes a value, or the name of a section, of git's configuration.
func quoteConfig(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) + `"`
}

// Submodules select the submodules of a checkout to fill, and how.
type Submodules struct {
	// Project is the work tree of the snapshot: commits of a submodule that it has are not fetched from the network.
	Project string
	// Recursive fills submodules of submodules as well.
	Recursive bool
	// Depth is how many commits are fetched; all if zero. Paths are pathspecs of the submodules, all if empty.
	Depth int
	Paths []string
	// Flags are more flags of git submodule update.
	Flags []string
	Env   []string
}

// Update fills the submodules of a checkout.
func (o Submodules) Update(ctx context.Context, checkout string) error {
	in := git.Command{Dir: checkout, Env: o.Env}
	names, err := in.Text(ctx, "config", "--file", ".gitmodules", "--get-regexp", `^submodule\..*\.path$`)
	if err != nil {
		// No .gitmodules: nothing to do.
		return nil
	}
	if _, err := in.Text(ctx, append([]string{"submodule", "init", "--"}, o.Paths...)...); err != nil {
		return err
	}
	var paths []string
	for line := range strings.Lines(names) {
		key, path, _ := strings.Cut(strings.TrimSpace(line), " ")
		setting := strings.TrimSuffix(key, ".path") + ".url"
		if _, err := in.Text(ctx, "config", "--get", setting); err != nil {
			// It is not one of those in Paths.
			continue
		}
		paths = append(paths, path)
		local := filepath.Join(o.Project, path)
		if _, err := os.Stat(filepath.Join(local, ".git")); err != nil {
			continue
		}
		if _, err := in.Text(ctx, "config", setting, o.address(local)); err != nil {
			return err
		}
	}
	args := []string{"-c", "protocol.file.allow=always", "submodule", "update"}
	if o.Depth > 0 {
		args = append(args, "--depth", strconv.Itoa(o.Depth))
	}
	if _, err := in.Text(ctx, slices.Concat(args, o.Flags, []string{"--"}, paths)...); err != nil {
		return err
	}
	if !o.Recursive {
		return nil
	}
	for _, path := range paths {
		below := Submodules{Project: filepath.Join(o.Project, path), Recursive: true, Depth: o.Depth, Flags: o.Flags, Env: o.Env}
		if err := below.Update(ctx, filepath.Join(checkout, path)); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// address returns where git gets a submodule from that is on this machine. A path would be cloned with all of its history.
func (o Submodules) address(local string) string {
	if o.Depth <= 0 {
		return local
	}
	path := filepath.ToSlash(local)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // on Windows: /C:/...
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}
