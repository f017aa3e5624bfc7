// Package lazyregexp compiles regular expressions when they are first used: most runs of the command need few of them, and
// compiling all would be a good part of a short run.
package lazyregexp

import (
	"regexp"
	"sync"
)

// New returns the function that compiles an expression once. It panics, when it is called, if the expression is wrong.
func New(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
