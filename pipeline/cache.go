package pipeline

import (
	"regexp"
	"sync"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/glob"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A cache keeps what is parsed, for the next event.
type cache struct {
	files memo[documentKey, *parsedFile]
	// loaded are the trees of files with their inputs put in.
	loaded         memo[loadedKey, *variants[*yamltree.Node]]
	configurations variants[*configuration]
	expressions    memo[string, expressionResult]
	globs          memo[string, glob.Pattern]
	regexes        memo[string, regexResult]
	// repositories are other projects by "path@ref". Each is resolved once, so that a plan is of one moment.
	repositories memo[string, repositoryResult]
}

// A documentKey identifies a text by its address in memory: a repository reads each file once.
type documentKey struct {
	file string
	text *byte
	size int
}

func newDocumentKey(file string, content []byte) documentKey {
	key := documentKey{file: file, size: len(content)}
	if len(content) > 0 {
		key.text = &content[0]
	}
	return key
}

// A loadedKey is a file with the node of its inputs, nil if there are none. The node is the same for every event,
// since it is part of a file that was loaded before.
type loadedKey struct {
	documentKey
	given *yamltree.Node
}

// A parsedFile is parsed at the first use, for which others wait.
type parsedFile struct {
	written   func() yamltree.Written
	documents func() ([]*yamltree.Node, error)
}

func newParsedFile(file string, content []byte) *parsedFile {
	written := sync.OnceValue(func() yamltree.Written { return yamltree.Read(file, content) })
	return &parsedFile{
		written:   written,
		documents: sync.OnceValues(func() ([]*yamltree.Node, error) { return yamltree.Convert(file, written()) }),
	}
}

type expressionResult struct {
	expression *expression.Expression
	err        error
}

func (c *cache) file(name string, content []byte) *parsedFile {
	return c.files.get(newDocumentKey(name, content), func() *parsedFile { return newParsedFile(name, content) })
}

// parse reads a file's documents.
func (c *cache) parse(file string, content []byte) ([]*yamltree.Node, error) {
	return c.file(file, content).documents()
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

type regexResult struct {
	regex *regexp.Regexp
	err   error
}

// regex compiles the pattern of an input; inputs of several files often have the same.
func (c *cache) regex(text string) (*regexp.Regexp, error) {
	r := c.regexes.get(text, func() (r regexResult) {
		r.regex, r.err = regexp.Compile(text)
		return r
	})
	return r.regex, r.err
}

// A memo keeps one value per key. If several goroutines compute it, the first result stays.
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
	computed := compute()
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok = m.values[key]; ok {
		return v
	}
	if m.values == nil {
		m.values = make(map[K]V)
	}
	m.values[key] = computed
	return computed
}
