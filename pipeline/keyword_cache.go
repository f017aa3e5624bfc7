package pipeline

import (
	"net/url"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// Limits of the keyword `cache`.
const (
	maxCaches       = 4
	maxFallbackKeys = 5
	maxKeyFiles     = 2
)

const (
	defaultCacheKey    = "default"
	defaultCachePolicy = "pull-push"
)

// GitLab only looks for one of these inside the value.
var cachePolicy = lazyregexp.New(`push|pull|\$`)

// caches validates the keyword `cache`: one, or a list.
func (c *checker) caches(p *keyPath, n *node) []Cache {
	switch {
	case n.Is(yamltree.Mapping):
		return []Cache{c.oneCache(p, n)}
	case !n.Is(yamltree.Sequence):
		c.Fail(p, n, "", "should be a hash or an array of hashes, not %s", yamltree.Describe(n))
		return nil
	case len(n.Items) > maxCaches:
		c.Fail(p, n, "", "more than %d caches", maxCaches)
	}
	list := make([]Cache, 0, len(n.Items))
	for _, item := range n.Flatten() {
		if !item.IsNull() {
			list = append(list, c.oneCache(p, item))
		}
	}
	return list
}

func (c *checker) oneCache(p *keyPath, n *node) Cache {
	cache := Cache{Key: defaultCacheKey, When: string(OnSuccess), Policy: defaultCachePolicy}
	if !c.Mapping(p, n) {
		return cache
	}
	c.AllowedKeys(p, n, "key", "untracked", "paths", "when", "policy", "unprotect", "fallback_keys")
	if v := n.Get("policy"); !v.IsBlank() {
		if v.Kind != yamltree.String || !cachePolicy().MatchString(v.Text) {
			c.Fail(p.Child("policy"), v, "one of pull-push, pull, push, or a variable", "%s is not a valid policy", yamltree.Describe(v))
		}
		cache.Policy = v.Text
	}
	if c.OptionalOneOf(p, n, "when", "on_success", "on_failure", "always") && !n.Get("when").IsNull() {
		cache.When = n.Get("when").Text
	}
	fallback := n.Get("fallback_keys")
	if fallback.Is(yamltree.Sequence) && len(fallback.Items) > maxFallbackKeys {
		c.Fail(p.Child("fallback_keys"), fallback, "", "more than %d fallback keys", maxFallbackKeys)
	}
	if v := n.Get("key"); !v.IsNull() {
		c.cacheKey(p.Child("key"), v, &cache)
	}
	c.OptionalBool(p, n, "unprotect")
	c.OptionalBool(p, n, "untracked")
	c.OptionalStrings(p, n, "paths")
	c.OptionalStrings(p, n, "fallback_keys")
	cache.Unprotect = n.Get("unprotect").True()
	cache.Untracked = n.Get("untracked").True()
	cache.UntrackedSet = !n.Get("untracked").IsNull()
	cache.Paths = check.StringList(n.Get("paths"))
	cache.FallbackKeys = check.StringList(fallback)
	return cache
}

func (c *checker) cacheKey(p *keyPath, n *node, cache *Cache) {
	switch n.Kind {
	case yamltree.String:
		c.keyText(p, n)
		cache.Key = n.Text
	case yamltree.Mapping:
		cache.Key = ""
		c.AllowedKeys(p, n, "files", "files_commits", "prefix")
		if n.Has("files") == n.Has("files_commits") {
			c.Fail(p, n, "", "needs exactly one of files and files_commits")
		}
		cache.KeyFiles = c.keyFiles(p, n, "files")
		cache.KeyFilesCommits = c.keyFiles(p, n, "files_commits")
		if v := n.Get("prefix"); !v.IsNull() {
			c.keyText(p.Child("prefix"), v)
			cache.KeyPrefix = v.RubyText()
		}
	default:
		c.Fail(p, n, "put it in quotes", "should be a string or a hash, not %s", yamltree.Describe(n))
	}
}

func (c *checker) keyFiles(p *keyPath, n *node, key string) []string {
	v := n.Get(key)
	if v.IsNull() {
		return nil
	}
	if !check.IsStrings(v) || len(v.Items) == 0 || len(v.Items) > maxKeyFiles {
		c.Fail(p.Child(key), v, "", "should be an array of one or %d paths", maxKeyFiles)
	}
	files := check.StringList(v)
	for i, file := range files {
		files[i] = strings.TrimLeft(file, "/")
	}
	return files
}

func (c *checker) keyText(p *keyPath, n *node) {
	if !check.IsText(n) {
		c.Fail(p, n, "put it in quotes", "should be a string, not %s", yamltree.Describe(n))
		return
	}
	text, err := url.QueryUnescape(n.Text)
	if err != nil {
		text = n.Text
	}
	switch {
	case strings.Contains(text, "/"):
		c.Fail(p, n, "use another character", "a key cannot contain a slash")
	case text == ".", text == "..":
		c.Fail(p, n, "", "a key cannot be %q", text)
	}
}

// gitLab omits GitLab's defaults.
func (c *Cache) gitLab() any {
	m := map[string]any{}
	switch {
	case c.KeyFiles != nil, c.KeyFilesCommits != nil:
		key := map[string]any{}
		putList(key, "files", c.KeyFiles)
		putList(key, "files_commits", c.KeyFilesCommits)
		put(key, "prefix", c.KeyPrefix)
		m["key"] = key
	case c.Key != defaultCacheKey:
		m["key"] = c.Key
	}
	if len(c.FallbackKeys) > 0 {
		m["fallback_keys"] = c.FallbackKeys
	}
	putList(m, "paths", c.Paths)
	if c.Untracked || c.UntrackedSet {
		m["untracked"] = c.Untracked
	}
	put(m, "unprotect", c.Unprotect)
	if c.When != string(OnSuccess) {
		put(m, "when", c.When)
	}
	if c.Policy != defaultCachePolicy {
		put(m, "policy", c.Policy)
	}
	return m
}
