package pipeline

import (
	"crypto/sha256"
	"sync"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/glob"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A cache keeps what is parsed, for the next event.
type cache struct {
	documents   memo[documentKey, documentResult]
	expressions memo[string, expressionResult]
	globs       memo[string, glob.Pattern]
	// repositories are other projects by "path@ref". They are asked for once: a plan is of one moment.
	repositories memo[string, repositoryResult]
}

type documentKey struct {
	file string
	sum  [sha256.Size]byte
}

type documentResult struct {
	documents []*yamltree.Node
	err       error
}

type expressionResult struct {
	expression *expression.Expression
	err        error
}

// parse reads a file's documents.
func (c *cache) parse(file string, content []byte) ([]*yamltree.Node, error) {
	r := c.documents.get(documentKey{file, sha256.Sum256(content)}, func() (r documentResult) {
		r.documents, r.err = yamltree.Parse(file, content)
		return r
	})
	return r.documents, r.err
}

func (c *cache) expression(text string) (*expression.Expression, error) {
	r := c.expressions.get(text, func() (r expressionResult) {
		r.expression, r.err = expression.Parse(text)
		return r
	})
	return r.expression, r.err
}

func (c *cache) glob(text string) glob.Pattern {
	return c.globs.get(text, func() glob.Pattern { return glob.Compile(text) })
}

// A memo computes a value once per key.
type memo[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]V
}

func (m *memo[K, V]) get(key K, compute func() V) V {
	m.mu.Lock()
	v, ok := m.values[key]
	m.mu.Unlock()
	if ok {
		return v
	}
	v = compute()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = make(map[K]V)
	}
	m.values[key] = v
	return v
}
