// Package expression evaluates the conditions of `rules:if`, `only:variables` and `spec:inputs:rules`.
//
// The grammar is GitLab's (https://docs.gitlab.com/ci/jobs/job_rules/#cicd-variable-expressions): variables, strings, null,
// true and false, RE2 patterns, the comparisons ==, !=, =~ and !~, and !, &&, || and parentheses. So are its surprises: an
// empty string is false as a whole, but true as a side of && and ||; a pattern has at least two characters.
package expression

import (
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// An Expression is a parsed condition. It is immutable.
type Expression struct {
	root node
}

// A Scope has the values that an expression can ask for. Variable may be nil, and so may Input.
type Scope struct {
	// Variable returns a CI/CD variable and whether it is set.
	Variable func(name string) (string, bool)
	// Input returns an input, nil if it has no value.
	Input func(name string) *yamltree.Node

	failed *bool // set where GitLab fails instead of giving a result
}

// True evaluates the expression.
func (e *Expression) True(s Scope) bool { return e.root.eval(s).present() }

// Variables names the CI/CD variables that the expression asks for, each once.
func (e *Expression) Variables() []string {
	var names []string
	seen := make(map[string]bool)
	e.root.walk(func(n node) {
		if v, ok := n.(variable); ok && !seen[string(v)] {
			seen[string(v)] = true
			names = append(names, string(v))
		}
	})
	return names
}

// A value is what a part of an expression evaluates to.
type value struct {
	kind    valueKind
	text    string
	boolean bool
	pattern *pattern
	other   *yamltree.Node
}

type valueKind uint8

const (
	nullValue valueKind = iota
	textValue
	boolValue
	patternValue
	otherValue // a number or an array, which an input can be
)

func text(s string) value  { return value{kind: textValue, text: s} }
func boolean(b bool) value { return value{kind: boolValue, boolean: b} }

// truthy is Ruby's: all but nil and false.
func (v value) truthy() bool { return v.kind != nullValue && (v.kind != boolValue || v.boolean) }

// present is Rails': truthy and not blank.
func (v value) present() bool {
	switch v.kind {
	case textValue:
		return strings.TrimSpace(v.text) != ""
	case otherValue:
		return !v.other.IsBlank()
	}
	return v.truthy()
}

func (v value) String() string {
	switch v.kind {
	case textValue:
		return v.text
	case boolValue:
		if v.boolean {
			return "true"
		}
		return "false"
	case otherValue:
		return v.other.RubyText()
	}
	return ""
}

func equal(a, b value) bool {
	if a.kind != b.kind {
		mixed := a.kind == boolValue && b.kind == textValue || a.kind == textValue && b.kind == boolValue
		return mixed && a.String() == b.String()
	}
	switch a.kind {
	case textValue:
		return a.text == b.text
	case boolValue:
		return a.boolean == b.boolean
	case patternValue:
		return a.pattern.source == b.pattern.source
	case otherValue:
		return yamltree.Equal(a.other, b.other)
	}
	return true
}

// matches is =~: a string on the right that is not written as a pattern is searched for the text on the left.
func matches(left, right value) bool {
	p := right.pattern
	if right.kind == textValue {
		compiled, err := compilePattern(right.text)
		if err != nil {
			return left.kind != patternValue && strings.Contains(right.text, left.String())
		}
		p = compiled
	}
	return p != nil && left.kind != patternValue && p.re.MatchString(left.String())
}

type node interface {
	eval(Scope) value
	walk(func(node))
}

type (
	literal  value
	variable string
	input    string
	not      struct{ operand node }
	binary   struct {
		operator    kind
		left, right node
	}
)

func (l literal) eval(Scope) value   { return value(l) }
func (l literal) walk(f func(node))  { f(l) }
func (v variable) walk(f func(node)) { f(v) }
func (i input) walk(f func(node))    { f(i) }

func (v variable) eval(s Scope) value {
	if s.Variable != nil {
		if t, ok := s.Variable(string(v)); ok {
			return text(t)
		}
	}
	return value{}
}

func (i input) eval(s Scope) value {
	if s.Input == nil {
		return value{}
	}
	n := s.Input(string(i))
	switch {
	case n.IsNull():
		return value{}
	case n.Kind == yamltree.String:
		return text(n.Text)
	case n.Kind == yamltree.Bool:
		return boolean(n.True())
	}
	return value{kind: otherValue, other: n}
}

func (n not) eval(s Scope) value { return boolean(!n.operand.eval(s).present()) }

func (n not) walk(f func(node)) {
	f(n)
	n.operand.walk(f)
}

func (b binary) eval(s Scope) value {
	left := b.left.eval(s)
	switch b.operator {
	case opAnd:
		if !left.truthy() {
			return left
		}
		return b.right.eval(s)
	case opOr:
		if left.truthy() {
			return left
		}
		return b.right.eval(s)
	}
	right := b.right.eval(s)
	switch b.operator {
	case opEquals:
		return boolean(equal(left, right))
	case opNotEquals:
		return boolean(!equal(left, right))
	}
	if s.failed != nil && right.truthy() && (right.kind == boolValue || right.kind == otherValue) {
		*s.failed = true
	}
	if b.operator == opMatches {
		return boolean(right.truthy() && matches(left, right))
	}
	return boolean(!right.truthy() || !matches(left, right))
}

func (b binary) walk(f func(node)) {
	f(b)
	b.left.walk(f)
	b.right.walk(f)
}
