package pipeline

import (
	"context"
	"io"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/reuse"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A Config is a merged configuration: all includes read, inputs interpolated, `extends` and `!reference` resolved.
type Config struct {
	// Files are those that it is made of, in the order in which they were read, each once.
	Files []string
	tree  *node
}

// WriteYAML writes the configuration as YAML that compiles to the same. With comments, "# ci/lint.yml:12" names where each job, and
// each part of a job that comes from another place, was written.
func (c *Config) WriteYAML(w io.Writer, comments bool) error {
	return yamltree.Write(w, c.tree, comments)
}

// Stages returns the stages in their order, .pre first and .post last.
func (c *Config) Stages() []string {
	var names []string
	for _, stage := range c.tree.Get("stages").Flatten() {
		names = append(names, stage.Text)
	}
	return names
}

// Jobs returns the names of the jobs, hidden ones not included, in their order.
func (c *Config) Jobs() []string {
	jobs, _ := splitJobs(c.tree)
	var names []string
	for _, pair := range jobs {
		if kind := kindOf(pair.Key.Text, pair.Value); kind == buildJob || kind == bridgeJob {
			names = append(names, pair.Key.Text)
		}
	}
	return names
}

// Config returns the merged configuration for an event, as "View full configuration" on GitLab. It is not validated
// beyond what merging needs; [Project.Plan] does that. Errors are [Errors].
func (p *Project) Config(ctx context.Context, event Event) (*Config, error) {
	c := p.compiler(ctx, event)
	merged := c.configuration()
	if merged == nil {
		return nil, c.errors()
	}
	files := []string{p.options.ConfigPath}
	seen := map[string]bool{p.options.ConfigPath: true}
	for _, f := range merged.includes {
		if f.name != "" && !seen[f.name] {
			seen[f.name] = true
			files = append(files, f.name)
		}
	}
	return &Config{Files: files, tree: withoutExtends(merged.tree)}, nil
}

// withoutExtends leaves out the keyword whose templates are merged already.
func withoutExtends(tree *node) *node {
	pairs := make([]yamltree.Pair, len(tree.Pairs))
	for i, p := range tree.Pairs {
		pairs[i] = p
		if reuse.IsExtended(p.Value) {
			pairs[i].Value = yamltree.Without(p.Value, "extends")
		}
	}
	return yamltree.NewMapping(pairs, tree.Position)
}
