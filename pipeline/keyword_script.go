package pipeline

import "gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"

// commands validates a script: a string, or a list of strings that may be nested.
func (c *checker) commands(p *keyPath, n *node) []string {
	if !isText(n) && !isNestedList(n, maxNesting, isText) {
		c.fail(p, firstWrong(n), "put commands with a colon in quotes",
			"should be a string or an array of strings nested up to %d levels, not %s", maxNesting, yamltree.Describe(firstWrong(n)))
		return nil
	}
	items := n.Flatten()
	lines := make([]string, len(items))
	for i, item := range items {
		lines[i] = item.Text
	}
	return lines
}

// hooks validates the keyword `hooks`.
func (c *checker) hooks(p *keyPath, n *node) any {
	if !c.mapping(p, n) || !c.allowedKeys(p, n, "pre_get_sources_script") {
		return nil
	}
	stored := make(map[string]any)
	if v := n.Get("pre_get_sources_script"); !v.IsNull() {
		stored["pre_get_sources_script"] = anys(c.commands(p.child("pre_get_sources_script"), v))
	}
	return stored
}
