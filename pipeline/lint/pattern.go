package lint

import (
	"regexp"
	"sync"
)

// pattern compiles a regular expression when it is first used: most runs of the command need none of them.
func pattern(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
