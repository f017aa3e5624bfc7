package pipeline

import (
	"fmt"
	"strings"
)

// An Error is one thing that is wrong with a configuration: where, what, and what would be right.
type Error struct {
	Position Position `json:"position,omitzero"`
	// Path is the key path of the place, as in "jobs:build:needs".
	Path string `json:"path,omitzero"`
	// Message says what is wrong; Hint, where there is one, what would be right.
	Message string `json:"message,omitzero"`
	Hint    string `json:"hint,omitzero"`
	// Missing says which kind of include is not here, although GitLab may have it; empty for other errors.
	Missing MissingKind `json:"missing,omitzero"`
	// Create says that the configuration as such is fine, but this event's pipeline cannot be created.
	Create bool `json:"create,omitzero"`
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Position.File != "" {
		b.WriteString(e.Position.File)
		if e.Position.Line > 0 {
			fmt.Fprintf(&b, ":%d:%d", e.Position.Line, e.Position.Column)
		}
		b.WriteString(": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString(" (")
		b.WriteString(e.Hint)
		b.WriteString(")")
	}
	return b.String()
}

// A MissingKind is a kind of include that is not here.
type MissingKind string

// The kinds of includes that a [Resolver] has, or has not.
const (
	MissingProject   MissingKind = "project"
	MissingRemote    MissingKind = "remote"
	MissingTemplate  MissingKind = "template"
	MissingComponent MissingKind = "component"
)

// Errors is what is wrong with a configuration, in the order in which GitLab would report it; never empty.
type Errors []*Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, x := range e {
		lines[i] = x.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each [Error].
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, x := range e {
		errs[i] = x
	}
	return errs
}
