package pipeline

import (
	"fmt"
	"strings"
)

// An Error is a problem of a configuration: where it is, what it is, and what would be right.
type Error struct {
	Position Position `json:"position,omitzero"`
	// Path is the key path of the place, as in "jobs:build:needs".
	Path string `json:"path,omitzero"`
	// Code identifies problems that the program that uses the library can help with, by its options or its resolver; else empty.
	Code Code `json:"code,omitzero"`
	// Message says what is wrong. Hint, if there is one, says what would be right: that of [Options.Hints] for the code, else the
	// library's.
	Message string `json:"message,omitzero"`
	Hint    string `json:"hint,omitzero"`
	// Create reports that the configuration as such is fine, but this event's pipeline cannot be created.
	Create bool `json:"create,omitzero"`
}

// A Code is a kind of problem for which the program that uses the library can have its own hint, such as which of its flags
// helps: see [Options.Hints]. The library names no flags.
type Code string

// The codes of errors.
const (
	// ProjectUnavailable: the resolver has no such project, or not this ref of it.
	ProjectUnavailable Code = "project_unavailable"
	// RemoteUnavailable and TemplateUnavailable: the resolver does not have the file of an `include:remote` or `include:template`.
	RemoteUnavailable   Code = "remote_unavailable"
	TemplateUnavailable Code = "template_unavailable"
	// IncludeFailed: the resolver failed to read an include for a reason other than that it does not exist.
	IncludeFailed Code = "include_failed"
	// ForeignComponent: a component names an instance other than [Options.Host].
	ForeignComponent Code = "foreign_component"
	// InputRequired: an input of the pipeline has no default, and [Event.Inputs] does not have it.
	InputRequired Code = "input_required"
)

// defaultHints are the hints of errors for which the program has no own hint.
var defaultHints = map[Code]string{
	ForeignComponent: "write $CI_SERVER_FQDN/project/name@version",
	InputRequired:    "give it a default",
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

// Errors are the problems of a configuration, in the order in which GitLab would report them; never empty.
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
