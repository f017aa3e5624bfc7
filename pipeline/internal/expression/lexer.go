package expression

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

type kind uint8

const (
	operand kind = iota
	opEquals
	opNotEquals
	opMatches
	opNotMatches
	opAnd
	opOr
	opNot
	opOpen
	opClose
)

// precedence of operators: a lower one binds stronger, as in Ruby's table. An opening parenthesis is above the closing
// one, which therefore takes all operators down to it.
var precedence = [...]int{
	opEquals: 10, opNotEquals: 10, opMatches: 10, opNotMatches: 10,
	opAnd: 11, opOr: 12, opNot: 1, opClose: 900, opOpen: 901,
}

type token struct {
	kind   kind
	node   node // of operands
	offset int
}

// maxTokens is one less than GitLab's limit, which counts the end.
const maxTokens = 99

// A SyntaxError says where an expression is wrong.
type SyntaxError struct {
	// Offset is the number of bytes before the wrong place.
	Offset  int
	Message string
}

func (e *SyntaxError) Error() string { return fmt.Sprintf("%s at character %d", e.Message, e.Offset+1) }

var operators = []struct {
	text string
	kind kind
}{
	{"==", opEquals}, {"=~", opMatches}, {"!=", opNotEquals}, {"!~", opNotMatches}, {"&&", opAnd}, {"||", opOr}, {"!", opNot},
	{"(", opOpen}, {")", opClose},
}

// A written pattern: its last character is not a backslash, and slashes inside it are escaped.
var writtenPattern = lazyregexp.New(`^/(?:[^/]|\\/)+[^\\]/[ismU]*`)

var writtenInput = lazyregexp.New(`^\$\[\[\s*inputs\.([\w-]+)\s*\]\]`)

func tokenize(s string) ([]token, error) {
	var tokens []token
	for at := 0; ; {
		at += len(s[at:]) - len(strings.TrimLeft(s[at:], " \t\n\v\f\r"))
		if at == len(s) {
			return tokens, nil
		}
		if len(tokens) == maxTokens {
			return nil, &SyntaxError{at, fmt.Sprintf("more than %d words and operators", maxTokens)}
		}
		t, size, err := next(s[at:])
		if err != nil {
			err.Offset += at
			return nil, err
		}
		t.offset = at
		tokens = append(tokens, t)
		at += size
	}
}

func next(s string) (token, int, *SyntaxError) {
	for _, o := range operators {
		if strings.HasPrefix(s, o.text) {
			return token{kind: o.kind}, len(o.text), nil
		}
	}
	switch s[0] {
	case '$':
		if strings.HasPrefix(s, "$[[") {
			if m := writtenInput().FindStringSubmatch(s); m != nil {
				return token{node: input(m[1])}, len(m[0]), nil
			}
			return token{}, 0, &SyntaxError{0, "only $[[ inputs.name ]] can be interpolated here"}
		}
		if n := wordLength(s[1:]); n > 0 {
			return token{node: variable(s[1 : 1+n])}, 1 + n, nil
		}
		return token{}, 0, &SyntaxError{0, "a variable's name is missing after $"}
	case '"', '\'':
		return quoted(s)
	case '/':
		return slashed(s)
	}
	for word, v := range map[string]value{"null": {}, "true": boolean(true), "false": boolean(false)} {
		if strings.HasPrefix(s, word) && (word == "null" || wordLength(s) == len(word)) {
			return token{node: literal(v)}, len(word), nil
		}
	}
	return token{}, 0, &SyntaxError{0, unknown(s)}
}

func quoted(s string) (token, int, *SyntaxError) {
	end := strings.IndexByte(s[1:], s[0])
	if end < 0 || strings.Contains(s[1:1+end], "\n") {
		return token{}, 0, &SyntaxError{0, "a string without its closing quote begins"}
	}
	return token{node: literal(text(s[1 : 1+end]))}, end + 2, nil
}

func slashed(s string) (token, int, *SyntaxError) {
	m := writtenPattern().FindString(s)
	if m == "" {
		return token{}, 0, &SyntaxError{0, "a pattern needs two characters or more between slashes"}
	}
	p, err := compilePattern(m)
	if err != nil {
		return token{}, 0, &SyntaxError{0, "the pattern is not RE2 syntax: " + err.Error()}
	}
	return token{node: literal(value{kind: patternValue, pattern: p})}, len(m), nil
}

func wordLength(s string) int {
	return len(s) - len(strings.TrimLeft(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"))
}

// unknown explains the mistakes that are made most.
func unknown(s string) string {
	switch s[0] {
	case '=':
		return "a single = (to compare, write ==)"
	case '&':
		return "a single & (write &&)"
	case '|':
		return "a single | (write ||)"
	}
	if n := wordLength(s); n > 0 {
		word := s[:n]
		switch {
		case strings.EqualFold(word, "and"):
			return "and is not an operator (write &&)"
		case strings.EqualFold(word, "or"):
			return "or is not an operator (write ||)"
		case strings.EqualFold(word, "not"):
			return "not is not an operator (write !)"
		}
		return fmt.Sprintf("%q is neither a $VARIABLE nor a string in quotes", word)
	}
	r, _ := utf8.DecodeRuneInString(s)
	return fmt.Sprintf("%q is not part of an expression", r)
}
