package pipeline

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/url"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// openRemote reads `include:remote`, whose content must have the hash of `integrity` where that is given.
func (c *compiler) openRemote(location *node) *file {
	n := location.Get("remote")
	if !n.Is(yamltree.String) {
		c.Fail(includePath, n, "", "a URL should be a string, not %s", yamltree.Describe(n))
		return nil
	}
	u, err := url.Parse(n.Text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		c.Fail(includePath, n, "write an https URL", "%q is not the URL of a file", yamltree.Shorten(n.Text))
		return nil
	}
	if _, ok := c.yamlPath(yamltree.NewString(u.Path, n.Position)); !ok {
		return nil
	}
	content, err := c.remote(n.Text)
	if err != nil {
		c.missingInclude(RemoteUnavailable, n, n.Text, err)
		return nil
	}
	if !c.hasIntegrity(location.Get("integrity"), content) {
		return nil
	}
	return &file{name: n.Text, content: content}
}

func (c *compiler) remote(address string) ([]byte, error) {
	if c.project.options.Resolver == nil {
		return nil, errNoResolver
	}
	return c.project.options.Resolver.Remote(c.ctx, address)
}

func (c *compiler) hasIntegrity(n *node, content []byte) bool {
	if n.IsNull() {
		return true
	}
	encoded, ok := strings.CutPrefix(n.RubyText(), "sha256-")
	want, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !ok || err != nil {
		c.Fail(includePath, n, "write sha256- and the hash in base64", "%q is not a valid integrity", yamltree.Shorten(n.RubyText()))
		return false
	}
	sum := sha256.Sum256(content)
	if subtle.ConstantTimeCompare(sum[:], want) != 1 {
		c.Fail(includePath, n, "review the file, then write the new hash",
			"the file has changed: its hash is sha256-%s", base64.StdEncoding.EncodeToString(sum[:]))
		return false
	}
	return true
}
