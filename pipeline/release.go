package pipeline

import (
	"time"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

var releaseKeys = []string{"tag_name", "tag_message", "name", "description", "ref", "released_at", "milestones", "assets"}

// A ref may have no blanks and none of git's special characters.
var refName = lazyregexp.New(`^[^\s~^:?*\[\\]+$`)

// release validates the keyword `release`.
func (c *checker) release(p *keyPath, n *node) any {
	if !c.mapping(p, n) {
		return nil
	}
	c.allowedKeys(p, n, releaseKeys...)
	c.requiredString(p, n, "tag_name")
	c.requiredString(p, n, "description")
	c.optionalString(p, n, "tag_message")
	c.optionalStringOrStrings(p, n, "milestones")
	if v := n.Get("released_at"); !v.IsNull() {
		if _, err := parseDate(v.RubyText()); err != nil {
			c.fail(p.child("released_at"), v, "write for example 2026-01-31T08:00:00Z", "%s is no date", describe(v))
		}
	}
	if v := n.Get("ref"); !v.IsNull() && (!isString(v) || !refName().MatchString(v.Text)) {
		c.fail(p.child("ref"), v, "", "%s is no ref", describe(v))
	}
	if v := n.Get("assets"); !v.IsNull() {
		c.releaseAssets(p.child("assets"), v)
	}
	return storedKeys(n)
}

func parseDate(s string) (t time.Time, err error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02"} {
		if t, err = time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return t, err
}

func (c *checker) releaseAssets(p *keyPath, n *node) {
	if !c.mapping(p, n) {
		return
	}
	c.allowedKeys(p, n, "links")
	p = p.child("links")
	links := n.Get("links")
	if links.IsBlank() || !links.Is(yamltree.Sequence) {
		c.fail(p, orElse(links, n), "", "should be an array of links, not %s", describe(links))
		return
	}
	for _, link := range links.Items {
		if !c.mapping(p, link) {
			continue
		}
		c.allowedKeys(p, link, "name", "url", "filepath", "link_type")
		c.requiredString(p, link, "name")
		c.requiredString(p, link, "url")
		c.optionalString(p, link, "filepath")
		c.optionalString(p, link, "link_type")
	}
}
