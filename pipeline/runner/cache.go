package runner

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filelock"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/snapshot"
)

// A cacheEntry is the folder of one cache key: its files, and a lock that is shared by readers and exclusive for writers.
type cacheEntry struct{ dir string }

func (w workspace) cache(key string) cacheEntry {
	name := pipeline.Slug(key)
	return cacheEntry{filepath.Join(w.caches(), name[:min(len(name), 40)]+"-"+shortHash(key))}
}

func (e cacheEntry) files() string { return filepath.Join(e.dir, "files") }

func (e cacheEntry) lock(ctx context.Context, exclusive bool) (*filelock.Lock, error) {
	return filelock.Wait(ctx, filepath.Join(e.dir, "lock"), exclusive, nil)
}

// cacheKeys returns the key of a cache and the ones to fall back to, expanded; none if nothing is left of the key.
func (a *attempt) cacheKeys(ctx context.Context, c pipeline.Cache) ([]string, error) {
	c.Key = cmp.Or(a.env.expand(c.Key), "default")
	sent, err := a.sentCacheKeys(ctx, c, keySources{os.DirFS(a.build.project), a.build.project, "HEAD"})
	if err != nil {
		return nil, err
	}
	var keys []string
	for i, key := range a.env.expandAll(sent) {
		key = a.cleanKey(key)
		if key == "" && i == 0 {
			return nil, nil
		}
		if key != "" {
			keys = append(keys, key)
		}
	}
	switch fallback := a.cleanKey(a.env.variables["CACHE_FALLBACK_KEY"]); {
	case strings.HasSuffix(strings.TrimRight(fallback, ". "), "-protected"):
		a.logf("WARNING: CACHE_FALLBACK_KEY is %s: a key that ends with -protected is ignored", fallback)
	case fallback != "":
		keys = append(keys, fallback)
	}
	return keys, nil
}

var keyNormalizer = strings.NewReplacer("%2f", "/", "%2F", "/", "%2e", ".", "%2E", ".", `\`, "/")

// cleanKey returns the key of a cache as GitLab's runner cleans it: it is a path, from which nothing leads up, and that does not end in
// white space.
func (a *attempt) cleanKey(key string) string {
	if key == "" || a.env.flag("FF_HASH_CACHE_KEYS") {
		return key
	}
	cleaned := path.Clean("/" + keyNormalizer.Replace(key))[1:]
	for {
		trimmed := strings.TrimSuffix(strings.TrimRightFunc(cleaned, unicode.IsSpace), "/")
		if trimmed == cleaned {
			break
		}
		cleaned = trimmed
	}
	switch cleaned {
	case key:
	case "":
		a.logf("WARNING: nothing is left of the cache key %q: there is no such cache", key)
	default:
		a.logf("WARNING: the cache key %q becomes %q", key, cleaned)
	}
	return cleaned
}

// keySources are the sources for `cache:key:files`: their files, and a repository with their commit.
type keySources struct {
	files            fs.FS
	repository, head string
}

// sentCacheKeys returns the key of a cache and the ones to fall back to, as GitLab sends them to its runner. Protected refs have
// separate caches, so that unprotected ones cannot poison them.
func (a *attempt) sentCacheKeys(ctx context.Context, c pipeline.Cache, sources keySources) ([]string, error) {
	key := cmp.Or(c.Key, "default")
	if len(c.KeyFiles)+len(c.KeyFilesCommits) > 0 {
		digest, err := a.keyDigest(ctx, c, sources)
		if err != nil {
			return nil, err
		}
		key = cmp.Or(digest, "default")
		if c.KeyPrefix != "" {
			key = c.KeyPrefix + "-" + key
		}
	}
	keys := append([]string{key}, c.FallbackKeys...)
	if c.Unprotect {
		return keys, nil
	}
	suffix := "-non_protected"
	if a.node.graph.plan.Event.RefProtected {
		suffix = "-protected"
	}
	for i := range keys {
		keys[i] += suffix
	}
	return keys, nil
}

// keyDigest returns a hash of the files of `cache:key:files`, or of the commits that last changed them; empty if there are none.
func (a *attempt) keyDigest(ctx context.Context, c pipeline.Cache, sources keySources) (string, error) {
	digest := sha256.New()
	found := false
	for _, pattern := range a.env.expandAll(c.KeyFiles) {
		// GitLab asks git for the path as it is written, and git does not find "./go.sum".
		if path.Clean(pattern) != pattern {
			continue
		}
		files, err := doublestar.Glob(sources.files, pattern, doublestar.WithFilesOnly())
		if err != nil {
			return "", err
		}
		for _, file := range files {
			content, err := fs.ReadFile(sources.files, file)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(digest, "%s %d\n%s", file, len(content), content)
			found = true
		}
	}
	for _, file := range a.env.expandAll(c.KeyFilesCommits) {
		commit, err := snapshot.LastCommit(ctx, sources.repository, a.run.machine, sources.head, file)
		if err != nil {
			return "", err
		}
		if commit != "" {
			fmt.Fprintf(digest, "%s %s\n", file, commit)
			found = true
		}
	}
	if !found {
		return "", nil
	}
	return hex.EncodeToString(digest.Sum(nil))[:40], nil
}

// restoreCaches copies the job's caches to the checkout.
func (a *attempt) restoreCaches(ctx context.Context) error {
	for _, c := range a.node.job.Cache {
		// The key is computed once, since the script may change the files that it depends on.
		a.keys = append(a.keys, "")
		if len(c.Paths) == 0 && !c.Untracked {
			continue
		}
		keys, err := a.cacheKeys(ctx, c)
		if err != nil {
			return fmt.Errorf("cache: %w", err)
		}
		if len(keys) == 0 {
			continue
		}
		a.keys[len(a.keys)-1] = keys[0]
		switch policy := a.env.expand(c.Policy); policy {
		case "push":
			continue
		case "", "pull", "pull-push":
		default:
			return fmt.Errorf("cache %s: policy %q is not valid: write pull, push or pull-push", keys[0], policy)
		}
		if err := a.restoreCache(ctx, keys); err != nil {
			return fmt.Errorf("cache %s: %w", keys[0], err)
		}
	}
	return nil
}

func (a *attempt) restoreCache(ctx context.Context, keys []string) error {
	for _, key := range keys {
		entry := a.run.workspace.cache(key)
		if _, err := os.Stat(entry.files()); err != nil {
			a.logf("WARNING: the cache %s does not exist", key)
			continue
		}
		if _, err := os.Lstat(filepath.Join(entry.files(), ".git")); err == nil {
			a.warnOfGit([]string{".git"}, "in the cache")
		}
		held, err := entry.lock(ctx, false)
		if err != nil {
			return err
		}
		err = filetree.CopyCache(entry.files(), a.build.project)
		held.Unlock()
		if err == nil {
			a.logf("Cache: %s", key)
			return nil
		}
		if isMachineError(err) {
			return err
		}
		// A cache only makes a job faster: one that does not fit the checkout does not fail the job.
		a.logf("Cache: %s cannot be restored: %v", key, err)
	}
	return nil
}

// saveCaches saves the job's caches. Nothing uses the checkout after it, so files that belong to one cache only are moved instead of
// copied.
//
// Of several caches with one key the first that has files is saved, as in GitLab's runner, for which an archive is up to date if no file is
// newer.
func (a *attempt) saveCaches(ctx context.Context, success bool) error {
	caches := a.node.job.Cache
	saved := map[string]bool{}
	for i, c := range caches {
		if i >= len(a.keys) || a.keys[i] == "" || a.env.expand(c.Policy) == "pull" || !wanted(c.When, success) {
			continue
		}
		key := a.keys[i]
		if saved[key] {
			a.logf("Cache: %s is saved already, with the paths of another cache of this job", key)
			continue
		}
		var err error
		if saved[key], err = a.saveCache(ctx, c, key, len(caches) == 1); err != nil {
			return fmt.Errorf("cache %s: %w", key, err)
		}
	}
	return nil
}

func (a *attempt) saveCache(ctx context.Context, c pipeline.Cache, key string, move bool) (saved bool, err error) {
	entry := a.run.workspace.cache(key)
	if err := os.MkdirAll(entry.dir, 0o750); err != nil {
		return false, err
	}
	staging, err := os.MkdirTemp(entry.dir, "new-")
	if err != nil {
		return false, err
	}
	defer func() { _ = filetree.Remove(staging) }()
	paths, err := a.cachePaths(ctx, c)
	if err != nil {
		return false, err
	}
	if len(paths) == 0 {
		a.logf("WARNING: there are no files for the cache %s", key)
		return false, nil
	}
	put := filetree.CopyCache
	if move {
		put = filetree.Move
	}
	a.warnOfGit(paths, "cached")
	for _, p := range paths {
		if err := mirrorParents(a.build.project, staging, p); err != nil {
			return false, err
		}
		if err := put(filepath.Join(a.build.project, p), filepath.Join(staging, p)); err != nil {
			return false, err
		}
	}
	held, err := entry.lock(ctx, true)
	if err != nil {
		return false, err
	}
	defer held.Unlock()
	old := staging + ".old"
	if err := os.Rename(entry.files(), old); err != nil && !os.IsNotExist(err) {
		return false, err
	}
	if err := os.Rename(staging, entry.files()); err != nil {
		return false, err
	}
	a.logf("Cache: kept as %s", key)
	return true, filetree.Remove(old)
}

// mirrorParents creates the folders above a path with the modes that they have in the checkout, so that a restored cache has the same.
func mirrorParents(from, to, relative string) error {
	parent := filepath.Dir(relative)
	if parent == "." {
		return nil
	}
	if err := mirrorParents(from, to, parent); err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(from, parent))
	if err != nil {
		return err
	}
	target := filepath.Join(to, parent)
	if err := os.Mkdir(target, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return os.Chmod(target, info.Mode().Perm()|0o700)
}

// cachePaths returns the paths to save: files, links, and whole folders.
func (a *attempt) cachePaths(ctx context.Context, c pipeline.Cache) ([]string, error) {
	var paths []string
	for _, pattern := range a.env.expandAll(c.Paths) {
		for _, match := range a.match(pattern) {
			if match != "." {
				paths = append(paths, match)
				continue
			}
			entries, err := os.ReadDir(a.build.project)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				paths = append(paths, e.Name())
			}
		}
	}
	if c.Untracked {
		untracked, err := snapshot.Untracked(ctx, a.build.project, a.run.machine)
		if err != nil {
			return nil, err
		}
		paths = append(paths, untracked...)
	}
	return withoutNested(paths), nil
}

// withoutNested removes duplicates, and paths below another path of the list, which includes them.
func withoutNested(paths []string) []string {
	slices.Sort(paths)
	paths = slices.Compact(paths)
	listed := map[string]bool{}
	for _, p := range paths {
		listed[p] = true
	}
	return slices.DeleteFunc(paths, func(p string) bool {
		for up := filepath.Dir(p); up != "."; up = filepath.Dir(up) {
			if listed[up] {
				return true
			}
		}
		return false
	})
}
