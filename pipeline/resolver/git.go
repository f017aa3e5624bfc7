package resolver

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"gitlab.com/slipway-ci/slipway/internal/git"
	"gitlab.com/slipway-ci/slipway/pipeline/gittree"
)

// Clones has projects as git clones below a folder: the project group/name is Root/group/name or Root/group/name.git.
// Only what is committed counts; nothing is fetched.
type Clones struct {
	None
	Root string

	trees trees
}

// Project implements [pipeline.Resolver].
func (c *Clones) Project(ctx context.Context, path, ref string) (fs.FS, string, error) {
	dir, ok := c.dir(path)
	if !ok {
		return nil, "", missing("project", path)
	}
	candidates := []string{ref, "origin/" + ref}
	if ref == "" || ref == "HEAD" {
		candidates = []string{"origin/HEAD", "HEAD"}
	}
	for _, candidate := range candidates {
		tree, err := c.trees.open(ctx, dir, candidate)
		if err == nil {
			return tree, tree.SHA(), nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
	}
	return nil, "", missing("ref", ref+" of "+path)
}

// Tags implements [pipeline.Resolver].
func (c *Clones) Tags(ctx context.Context, path string) ([]string, error) {
	dir, ok := c.dir(path)
	if !ok {
		return nil, missing("project", path)
	}
	out, err := run(ctx, dir, "tag", "--list")
	return strings.Fields(out), err
}

// Close ends the git processes that read the clones.
func (c *Clones) Close() error { return c.trees.close() }

func (c *Clones) dir(path string) (string, bool) {
	if !filepath.IsLocal(filepath.FromSlash(path)) {
		return "", false
	}
	for _, dir := range []string{filepath.Join(c.Root, filepath.FromSlash(path)), filepath.Join(c.Root, filepath.FromSlash(path)+".git")} {
		for _, mark := range []string{".git", "HEAD"} {
			if _, err := os.Stat(filepath.Join(dir, mark)); err == nil {
				return dir, true
			}
		}
	}
	return "", false
}

// Git fetches projects from a server, one commit at a time, into bare repositories below a cache folder. What was
// fetched once is there when the server is not.
type Git struct {
	None
	// BaseURL is what a project's path is appended to: "https://gitlab.com", "git@gitlab.com:", "file:///srv/git".
	BaseURL string
	// Cache is a folder; it is made if it is not there.
	Cache string
	// Offline uses only what is in the cache.
	Offline bool

	mu    sync.Mutex
	trees trees
}

// refPrefix keeps fetched commits from being taken for branches.
const refPrefix = "refs/slipway/"

// Project implements [pipeline.Resolver].
func (g *Git) Project(ctx context.Context, path, ref string) (fs.FS, string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	dir, err := g.repository(ctx, path)
	if err != nil {
		return nil, "", err
	}
	if ref == "" {
		ref = "HEAD"
	}
	local := refPrefix + ref
	if isSHA(ref) {
		local = ref
	}
	fetched := g.fetch(ctx, dir, path, ref, local)
	tree, err := g.trees.open(ctx, dir, local)
	if err == nil {
		return tree, tree.SHA(), nil
	}
	if fetched != nil && !g.Offline {
		return nil, "", fetched
	}
	return nil, "", missing("ref", ref+" of "+path)
}

// fetch updates the local name of a ref; a commit that is here is not asked for again.
func (g *Git) fetch(ctx context.Context, dir, path, ref, local string) error {
	if g.Offline {
		return nil
	}
	if isSHA(ref) {
		if _, err := run(ctx, dir, "cat-file", "-e", ref+"^{commit}"); err == nil {
			return nil
		}
	}
	spec := "+" + ref + ":" + local
	if isSHA(ref) {
		spec = ref
	}
	_, err := run(ctx, dir, "fetch", "--quiet", "--depth=1", "--no-tags", "--end-of-options", g.url(path), spec)
	return err
}

// Tags implements [pipeline.Resolver]. The last answer of the server is kept for when it does not answer.
func (g *Git) Tags(ctx context.Context, path string) ([]string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	dir, err := g.repository(ctx, path)
	if err != nil {
		return nil, err
	}
	kept := filepath.Join(dir, "slipway-tags")
	var listing string
	err = errOffline
	if !g.Offline {
		listing, err = run(ctx, dir, "ls-remote", "--tags", "--refs", "--end-of-options", g.url(path))
	}
	if err == nil {
		if err := os.WriteFile(kept, []byte(listing), 0o600); err != nil {
			return nil, err
		}
	} else {
		text, readErr := os.ReadFile(kept)
		if readErr != nil {
			if g.Offline {
				return nil, missing("project", path)
			}
			return nil, err
		}
		listing = string(text)
	}
	var tags []string
	for line := range strings.Lines(listing) {
		if _, tag, ok := strings.Cut(strings.TrimSpace(line), "refs/tags/"); ok {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}

var errOffline = errors.New("offline")

// Close ends the git processes that read the cache.
func (g *Git) Close() error { return g.trees.close() }

func (g *Git) url(path string) string {
	base := g.BaseURL
	if !strings.HasSuffix(base, ":") && !strings.HasSuffix(base, "/") {
		base += "/"
	}
	return base + path + ".git"
}

// repository gives the bare repository of a project in the cache, making it if it is not there.
func (g *Git) repository(ctx context.Context, path string) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(path)) {
		return "", missing("project", path)
	}
	dir := filepath.Join(g.Cache, filepath.FromSlash(path)+".git")
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
		return dir, nil
	}
	if g.Offline {
		return "", missing("project", path)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	_, err := run(ctx, dir, "init", "--quiet", "--bare", ".")
	return dir, err
}

func isSHA(ref string) bool {
	return len(ref) == 40 && strings.Trim(ref, "0123456789abcdef") == ""
}

// run returns what a git command prints. Git asks for nothing: a password that no helper knows is an error.
func run(ctx context.Context, dir string, args ...string) (string, error) {
	return command(dir).Text(ctx, args...)
}

// command is git as the user has set it up. Only ssh that is not configured at all is kept from asking.
func command(dir string) git.Command {
	c := git.In(dir)
	if os.Getenv("GIT_SSH_COMMAND") == "" && os.Getenv("GIT_SSH") == "" {
		if _, err := c.Text(context.Background(), "config", "--get", "core.sshCommand"); err != nil {
			c.Set = []string{"GIT_SSH_COMMAND=ssh -o BatchMode=yes"}
		}
	}
	return c
}

// trees are the trees that are in use.
type trees struct {
	mu     sync.Mutex
	opened []*gittree.Tree
}

func (t *trees) open(ctx context.Context, dir, ref string) (*gittree.Tree, error) {
	// The tree outlives the call that asked for it.
	tree, err := gittree.Open(context.WithoutCancel(ctx), dir, ref)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.opened = append(t.opened, tree)
	return tree, nil
}

func (t *trees) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, tree := range t.opened {
		errs = append(errs, tree.Close())
	}
	t.opened = nil
	return errors.Join(errs...)
}
