// Package parsed keeps what was parsed: files, conditions, patterns. A project is compiled for many events, and most of its text
// is the same for all of them.
package parsed

import (
	"regexp"
	"sync"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/expression"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/glob"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/memo"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A Cache keeps parsed texts. The zero Cache is empty and ready; it is safe for concurrent use.
type Cache struct {
	files       memo.Memo[FileKey, *file]
	expressions memo.Memo[string, result[*expression.Expression]]
	regexes     memo.Memo[string, result[*regexp.Regexp]]
	globs       memo.Memo[string, glob.Pattern]
}

type result[T any] struct {
	value T
	err   error
}

// A FileKey identifies a file by its name and by the address of its text in memory: a repository reads each file once.
type FileKey struct {
	name string
	text *byte
	size int
}

// KeyOf returns the key of a file.
func KeyOf(name string, content []byte) FileKey {
	key := FileKey{name: name, size: len(content)}
	if len(content) > 0 {
		key.text = &content[0]
	}
	return key
}

// A file is parsed at the first use, for which others wait.
type file struct {
	written   func() yamltree.Written
	documents func() ([]*yamltree.Node, error)
}

func (c *Cache) file(name string, content []byte) *file {
	return c.files.Get(KeyOf(name, content), func() *file {
		written := sync.OnceValue(func() yamltree.Written { return yamltree.Read(name, content) })
		return &file{
			written:   written,
			documents: sync.OnceValues(func() ([]*yamltree.Node, error) { return yamltree.Convert(name, written()) }),
		}
	})
}

// Written returns the documents of a file as they are written.
func (c *Cache) Written(name string, content []byte) yamltree.Written {
	return c.file(name, content).written()
}

// Documents returns the documents of a file as GitLab reads them.
func (c *Cache) Documents(name string, content []byte) ([]*yamltree.Node, error) {
	return c.file(name, content).documents()
}

// Expression parses the condition of a rule.
func (c *Cache) Expression(text string) (*expression.Expression, error) {
	r := c.expressions.Get(text, func() (r result[*expression.Expression]) {
		r.value, r.err = expression.Parse(text)
		return r
	})
	return r.value, r.err
}

// Glob compiles a pattern of paths.
func (c *Cache) Glob(text string) glob.Pattern {
	return c.globs.Get(text, func() glob.Pattern { return glob.Compile(text) })
}

// Regex compiles the pattern of an input; inputs of several files often have the same.
func (c *Cache) Regex(text string) (*regexp.Regexp, error) {
	r := c.regexes.Get(text, func() (r result[*regexp.Regexp]) {
		r.value, r.err = regexp.Compile(text)
		return r
	})
	return r.value, r.err
}
