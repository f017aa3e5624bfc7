package pipeline

import (
	"cmp"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

var releaseKeys = []string{"tag_name", "tag_message", "name", "description", "ref", "released_at", "milestones", "assets"}

// isRef reports whether a name can be that of a branch or tag: https://git-scm.com/docs/git-check-ref-format
func isRef(name string) bool {
	if name == "" || name == "HEAD" || strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/remotes/") ||
		strings.HasPrefix(name, "-") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") || strings.Contains(name, "@{") {
		return false
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`~^:?*[\`, r) }) {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.HasPrefix(part, ".") || strings.HasSuffix(part, ".lock") {
			return false
		}
	}
	return true
}

// release validates the keyword `release`.
func (c *checker) release(p *keyPath, n *node) any {
	if !c.Mapping(p, n) {
		return nil
	}
	c.AllowedKeys(p, n, releaseKeys...)
	c.RequiredString(p, n, "tag_name")
	c.RequiredString(p, n, "description")
	c.OptionalString(p, n, "tag_message")
	c.OptionalStringOrStrings(p, n, "milestones")
	if v := n.Get("released_at"); !v.IsNull() {
		if _, err := parseDate(v.RubyText()); err != nil {
			c.Fail(p.Child("released_at"), v, "write for example 2026-01-31T08:00:00Z", "%s is not a valid date", yamltree.Describe(v))
		}
	}
	if v := n.Get("ref"); !v.IsNull() && (!check.IsString(v) || !isRef(v.Text)) {
		c.Fail(p.Child("ref"), v, "", "%s is not a valid ref", yamltree.Describe(v))
	}
	if v := n.Get("assets"); !v.IsNull() {
		c.releaseAssets(p.Child("assets"), v)
	}
	return storedKeys(n)
}

func parseDate(s string) (t time.Time, err error) {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04", "2006-01-02",
		"2006-01", "20060102T150405Z0700", "20060102T150405", "20060102"} {
		if t, err = time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return t, err
}

func (c *checker) releaseAssets(p *keyPath, n *node) {
	if !c.Mapping(p, n) {
		return
	}
	c.AllowedKeys(p, n, "links")
	p = p.Child("links")
	links := n.Get("links")
	if links.IsBlank() || !links.Is(yamltree.Sequence) {
		c.Fail(p, cmp.Or(links, n), "", "should be an array of links, not %s", yamltree.Describe(links))
		return
	}
	// What is in a link, GitLab finds out when it makes the release.
	for _, link := range links.Items {
		c.Mapping(p, link)
	}
}
