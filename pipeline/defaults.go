package pipeline

import (
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

var defaultKeys = []string{"before_script", "after_script", "hooks", "cache", "image", "services", "interruptible", "timeout", "retry",
	"tags", "artifacts", "id_tokens", "identity"}

// inheritable are the keywords that a job has of its own or takes from `default`; set says which are given.
type inheritable struct {
	set map[string]bool

	beforeScript, afterScript []string
	hooks, idTokens           any
	cache                     []Cache
	image                     *Image
	services                  []Image
	interruptible             *bool
	timeout                   time.Duration
	retry                     *Retry
	tags                      []string
	artifacts                 *Artifacts
	identity                  string
}

// read validates one keyword, if it is an inheritable one and has a value.
func (i *inheritable) read(c *checker, p *keyPath, key string, n *node) {
	if n.IsNull() {
		return
	}
	if i.set == nil {
		i.set = make(map[string]bool)
	}
	i.set[key] = true
	p = p.child(key)
	switch key {
	case "before_script":
		i.beforeScript = c.commands(p, n)
	case "after_script":
		i.afterScript = c.commands(p, n)
	case "hooks":
		i.hooks = c.hooks(p, n)
	case "cache":
		i.cache = c.caches(p, n)
	case "image":
		i.image = c.image(p, n)
	case "services":
		i.services = c.services(p, n)
	case "interruptible":
		i.interruptible = c.boolean(p, n)
	case "timeout":
		i.timeout = c.duration(p, n, maxTimeout)
	case "retry":
		i.retry = c.retry(p, n)
	case "tags":
		i.tags = c.tags(p, n)
	case "artifacts":
		i.artifacts = c.artifacts(p, n)
	case "id_tokens":
		i.idTokens = c.idTokens(p, n)
	case "identity":
		i.identity = c.identity(p, n)
	}
}

// take adds what is not set from the defaults.
func (i *inheritable) take(from *inheritable, keys []string, takes func(string) bool) {
	for _, key := range keys {
		if i.set[key] || !from.set[key] || !takes(key) {
			continue
		}
		switch key {
		case "before_script":
			i.beforeScript = from.beforeScript
		case "after_script":
			i.afterScript = from.afterScript
		case "hooks":
			i.hooks = from.hooks
		case "cache":
			i.cache = from.cache
		case "image":
			i.image = from.image
		case "services":
			i.services = from.services
		case "interruptible":
			i.interruptible = from.interruptible
		case "retry":
			i.retry = from.retry
		case "tags":
			i.tags = from.tags
		case "artifacts":
			i.artifacts = from.artifacts
		case "id_tokens":
			i.idTokens = from.idTokens
		case "identity":
			i.identity = from.identity
		}
	}
}

// defaults validates `default` and the keywords at the top that mean the same; one in both places is an error.
func (c *checker) defaults(tree *node) *inheritable {
	d := &inheritable{}
	p := &keyPath{key: "default"}
	n := tree.Get("default")
	if n.IsNull() {
		n = yamltree.NewMapping(nil, tree.Position)
	}
	if !c.mapping(p, n) {
		return d
	}
	c.allowedKeys(p, n, defaultKeys...)
	for _, key := range []string{"before_script", "after_script", "cache", "image", "services"} {
		if !tree.Get(key).IsNull() && !n.Get(key).IsNull() {
			c.fail(&keyPath{key: key}, tree.Key(key), "keep the one in default", "%s is given at the top and in default", key)
		}
	}
	for _, key := range defaultKeys {
		d.read(c, p, key, n.Get(key))
	}
	for _, key := range []string{"before_script", "image", "services", "after_script", "cache"} {
		if n.Get(key).IsNull() {
			d.read(c, nil, key, tree.Get(key))
		}
	}
	return d
}
