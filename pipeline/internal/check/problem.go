// Package check validates values of a configuration as GitLab does, and collects the problems. It knows values, not keywords.
package check

import (
	"fmt"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// A Problem is what GitLab reports of a value.
type Problem struct {
	Position yamltree.Position
	// Path is the key path of the value, as in "jobs:build:needs".
	Path string
	// Code identifies kinds of problems that callers of the library can help with; empty for others.
	Code string
	// Message says what is wrong. Hint, if there is one, says what would be right.
	Message, Hint string
}

// New returns the problem of a value, which may be nil. Texts that quote too much of a configuration are cut.
func New(path string, at *yamltree.Node, hint, format string, args ...any) Problem {
	p := Problem{Path: path, Message: Cut(fmt.Sprintf(format, args...)), Hint: Cut(hint)}
	if at != nil {
		p.Position = at.Position
	}
	return p
}

// maxText is where a text ends that quotes too much of a configuration.
const maxText = 500

// Cut shortens a text that quotes too much of a configuration.
func Cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	return strings.ToValidUTF8(text[:maxText], "") + "..."
}

// A Path is the path of keys to a value, as in "jobs:build:needs".
type Path struct {
	parent *Path
	key    string
}

// NewPath returns the path of a key at the top.
func NewPath(key string) *Path { return &Path{key: key} }

// Child returns the path of a key below p; a key at the top if p is nil.
func (p *Path) Child(key string) *Path { return &Path{p, key} }

// Key returns the last key.
func (p *Path) Key() string { return p.key }

func (p *Path) String() string {
	if p == nil {
		return ""
	}
	if p.parent == nil {
		return p.key
	}
	return p.parent.String() + ":" + p.key
}
