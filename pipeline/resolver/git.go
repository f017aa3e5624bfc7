package resolver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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
// fetched once is available while the server is not.
type Git struct {
	None
	// BaseURL is what a project's path is appended to: "https://gitlab.com", "git@gitlab.com:", "file:///srv/git".
	BaseURL string
	// Cache is a folder; it is created if it does not exist. Each server has a separate folder in it.
	Cache string
	// Offline uses only what is in the cache.
	Offline bool
	// Warn is called when a copy in the cache is used because the server does not answer.
	Warn func(message string)

	mu          sync.Mutex
	unreachable error
	trees       trees
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
	if errors.Is(fetched, errNoRef) {
		return nil, "", missing("ref", ref+" of "+path) // whatever the cache has: the server has it no longer
	}
	tree, err := g.trees.open(ctx, dir, local)
	if err != nil {
		if fetched != nil {
			return nil, "", fetched
		}
		return nil, "", missing("ref", ref+" of "+path)
	}
	if fetched != nil {
		g.warn("%s at %s could not be refreshed, so the copy of an earlier fetch is used: %v", path, ref, fetched)
	}
	return tree, tree.SHA(), nil
}

// fetch updates the local name of a ref; a commit that was fetched is not fetched again.
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
	if g.unreachable != nil {
		return g.unreachable
	}
	_, err := run(ctx, dir, "fetch", "--quiet", "--depth=1", "--no-tags", "--end-of-options", g.url(path), spec)
	return g.explain(err, path)
}

func (g *Git) warn(format string, args ...any) {
	if g.Warn != nil {
		g.Warn(fmt.Sprintf(format, args...))
	}
}

// explain turns what git says about a fetch into its cause. A server that does not answer is not asked again.
func (g *Git) explain(err error, path string) error {
	var failed *git.Error
	if !errors.As(err, &failed) {
		return err
	}
	says := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(strings.ToLower(failed.Stderr), text) })
	}
	server := g.server()
	switch { // git repeats the address: no text may be one that a path can have, as a bare 403
	case says("couldn't find remote ref", "not our ref", "unadvertised object"):
		return errNoRef
	case says("could not read username", "could not read password", "authentication failed", "permission denied", "http basic: access denied", "returned error: 403", "returned error: 401", "terminal prompts disabled"):
		return fmt.Errorf("%s refuses access to %s: git has no credentials for it that are valid (see docs/includes.md)", server, path)
	case says("could not resolve", "couldn't connect", "connection refused", "timed out", "no route to host", " is unreachable", "failed to connect", "connection reset", "connection closed"):
		g.unreachable = fmt.Errorf("%s cannot be reached", server)
		return g.unreachable
	case says("not found", "does not exist", "does not appear to be a git repository", "no such project"):
		return missing("project", path+" on "+server)
	}
	lines := strings.Split(failed.Stderr, "\n")
	return fmt.Errorf("git fetch from %s: %s", server, strings.TrimPrefix(lines[len(lines)-1], "fatal: "))
}

// server names the server of BaseURL, without a user or a token.
func (g *Git) server() string {
	if remote, ok := git.ParseRemote(g.url("project")); ok {
		if remote.Port != "" {
			return remote.Host + ":" + remote.Port
		}
		return remote.Host
	}
	return g.BaseURL
}

// cacheKey is the folder of the server in the cache.
func (g *Git) cacheKey() string {
	if _, ok := git.ParseRemote(g.url("project")); ok {
		return strings.ReplaceAll(g.server(), ":", "_")
	}
	sum := sha256.Sum256([]byte(g.BaseURL))
	return "local-" + hex.EncodeToString(sum[:8])
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
		if err = g.unreachable; err == nil {
			listing, err = run(ctx, dir, "ls-remote", "--tags", "--refs", "--end-of-options", g.url(path))
			err = g.explain(err, path)
		}
	}
	if err == nil {
		if err := os.WriteFile(kept, []byte(listing), 0o600); err != nil {
			return nil, err
		}
	} else {
		text, readErr := os.ReadFile(kept)
		if readErr == nil && !g.Offline {
			g.warn("the tags of %s could not be refreshed, so the list of an earlier fetch is used: %v", path, err)
		}
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

var (
	errOffline = errors.New("offline")
	errNoRef   = errors.New("the server has no such ref")
)

// Close ends the git processes that read the cache.
func (g *Git) Close() error { return g.trees.close() }

func (g *Git) url(path string) string {
	base := g.BaseURL
	if !strings.HasSuffix(base, ":") && !strings.HasSuffix(base, "/") {
		base += "/"
	}
	return base + path + ".git"
}

// repository returns the bare repository of a project in the cache, making it if it is not there.
func (g *Git) repository(ctx context.Context, path string) (string, error) {
	if !filepath.IsLocal(filepath.FromSlash(path)) {
		return "", missing("project", path)
	}
	dir := filepath.Join(g.Cache, g.cacheKey(), filepath.FromSlash(strings.ToLower(path))+".git")
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

// command is git as the user has set it up. ssh that is not configured at all is kept from asking, and in a job of GitLab its
// token is offered to the job's own server, after the user's credential helpers.
func command(dir string) git.Command {
	c := git.In(dir)
	if os.Getenv("GIT_SSH_COMMAND") == "" && os.Getenv("GIT_SSH") == "" {
		if _, err := c.Text(context.Background(), "config", "--get", "core.sshCommand"); err != nil {
			c.Set = []string{"GIT_SSH_COMMAND=ssh -o BatchMode=yes"}
		}
	}
	if server := os.Getenv("CI_SERVER_URL"); server != "" && os.Getenv("CI_JOB_TOKEN") != "" {
		// Settings in the environment, so that the token is on no command line; they come after the existing ones.
		n, _ := strconv.Atoi(os.Getenv("GIT_CONFIG_COUNT"))
		c.Set = append(c.Set, fmt.Sprintf("GIT_CONFIG_COUNT=%d", n+1), fmt.Sprintf("GIT_CONFIG_KEY_%d=credential.%s.helper", n, server),
			fmt.Sprintf("GIT_CONFIG_VALUE_%d=%s", n, `!f() { test "$1" = get && printf 'username=gitlab-ci-token\npassword=%s\n' "$CI_JOB_TOKEN"; }; f`))
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
