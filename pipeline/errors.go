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
	// Code identifies errors that the caller of the library can do something about, by its options or its resolver; else empty.
	Code Code `json:"code,omitzero"`
	// Message says what is wrong; Hint, where there is one, what would be right.
	Message string `json:"message,omitzero"`
	Hint    string `json:"hint,omitzero"`
	// Missing says which kind of include is not here, although GitLab may have it; empty for other errors.
	Missing MissingKind `json:"missing,omitzero"`
	// Create reports that the configuration as such is fine, but this event's pipeline cannot be created.
	Create bool `json:"create,omitzero"`
}

// A Code is a kind of error for which the program that uses the library can have advice of its own: see [Options.Hints].
type Code string

// The codes of errors.
const (
	// ProjectUnavailable: the resolver has no such project, or not this ref of it.
	ProjectUnavailable Code = "project_unavailable"
	// RemoteUnavailable and TemplateUnavailable: the resolver does not have the file of an `include:remote` or `include:template`.
	RemoteUnavailable   Code = "remote_unavailable"
	TemplateUnavailable Code = "template_unavailable"
	// IncludeFailed: the resolver failed to read an include for another reason than that it does not exist.
	IncludeFailed Code = "include_failed"
	// ForeignComponent: a component names another instance than [Options.Host].
	ForeignComponent Code = "foreign_component"
	// InputRequired: an input of the pipeline has no default, and [Event.Inputs] does not have it.
	InputRequired Code = "input_required"
)

// missingKinds are the codes of includes that are unavailable.
var missingKinds = map[Code]MissingKind{
	ProjectUnavailable: MissingProject, RemoteUnavailable: MissingRemote, TemplateUnavailable: MissingTemplate, ForeignComponent: MissingComponent,
}

// defaultHints are the hints of errors for which the program has none of its own.
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
