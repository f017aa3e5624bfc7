package pipeline

import (
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// commands validates a script: a string, or a list of strings that may be nested.
func (c *checker) commands(p *keyPath, n *node) []string {
	if !check.IsText(n) && !check.IsNestedList(n, maxNesting, check.IsText) {
		c.Fail(p, check.FirstWrong(n), "put commands with a colon in quotes",
			"should be a string or an array of strings nested up to %d levels, not %s", maxNesting, yamltree.Describe(check.FirstWrong(n)))
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
	if !c.Mapping(p, n) || !c.AllowedKeys(p, n, "pre_get_sources_script") {
		return nil
	}
	stored := make(map[string]any)
	if v := n.Get("pre_get_sources_script"); !v.IsNull() {
		stored["pre_get_sources_script"] = anys(c.commands(p.Child("pre_get_sources_script"), v))
	}
	return stored
}
