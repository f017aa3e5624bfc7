package pipeline

import (
	"cmp"
	"slices"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/parsed"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// node is a value of the configuration, keyPath the path of keys to it.
type (
	node    = yamltree.Node
	keyPath = check.Path
)

func at(n *node) Position {
	if n == nil {
		return Position{}
	}
	return Position(n.Position)
}

// A checker reads and validates keywords.
type checker struct{ check.Checker }

func newChecker(p *parsed.Cache) checker { return checker{check.Checker{Parsed: p}} }

// errorsOf returns problems as errors, with the hints of the program that uses the library.
func errorsOf(problems []check.Problem, hints map[Code]string) Errors {
	errs := make(Errors, len(problems))
	for i, p := range problems {
		code := Code(p.Code)
		errs[i] = &Error{Position: Position(p.Position), Path: p.Path, Code: code, Message: p.Message, Hint: p.Hint}
		if code != "" {
			errs[i].Hint = check.Cut(cmp.Or(hints[code], defaultHints[code]))
		}
	}
	return errs
}

// misspelt finds the first key of a hash that is close to one of the words and no keyword of a job itself.
func misspelt(n *node, words ...string) (key, word string) {
	if !n.Is(yamltree.Mapping) {
		return "", ""
	}
	for _, pair := range n.Pairs {
		if word := spelling.Closest(pair.Key.Text, words); word != "" && !slices.Contains(keywordNames[inJob], pair.Key.Text) {
			return pair.Key.Text, word
		}
	}
	return "", ""
}
