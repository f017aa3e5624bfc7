package pipeline

import (
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

const (
	preStage  = ".pre"
	postStage = ".post"
	// defaultStage is the stage of a job without one.
	defaultStage = "test"
)

var defaultStages = []string{"build", "test", "deploy"}

// injectPreAndPost puts .pre first and .post last, wherever a configuration lists them. An empty list stays empty.
func injectPreAndPost(tree *node) *node {
	stages := tree.Get("stages")
	if !stages.IsNull() && (!stages.Is(yamltree.Sequence) || len(stages.Items) == 0) {
		return tree
	}
	where := tree.Position
	list := []*node{yamltree.NewString(preStage, where)}
	if stages.IsNull() {
		for _, s := range defaultStages {
			list = append(list, yamltree.NewString(s, where))
		}
	} else {
		where = stages.Position
		for _, s := range stages.Items {
			if s.Text != preStage && s.Text != postStage {
				list = append(list, s)
			}
		}
	}
	list = append(list, yamltree.NewString(postStage, where))
	return yamltree.With(tree, "stages", yamltree.NewSequence(list, where))
}

// stages returns the names of the stages in their order, each once.
func (c *checker) stages(p *keyPath, n *node) []string {
	if !check.IsNestedList(n, maxNesting, check.IsText) {
		c.Fail(p, check.FirstWrong(n), "", "should be an array of names, not %s", check.DescribeItems(n))
		return nil
	}
	var names []string
	seen := make(map[string]bool)
	for _, s := range n.Flatten() {
		// No job is in a stage whose name is a symbol: the name that a job gives is a string.
		if !seen[s.Text] && !s.Symbol {
			seen[s.Text] = true
			names = append(names, s.Text)
		}
	}
	return names
}
