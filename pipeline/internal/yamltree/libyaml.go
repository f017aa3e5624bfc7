package yamltree

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

// GitLab reads YAML with libyaml 0.2.5. The parser here follows YAML 1.2 where libyaml does not; this file closes the gap:
// [parse] reads what only the parser refuses, [refusal] refuses what only libyaml refuses.

// maxRepairs bounds how often a document is parsed.
const maxRepairs = 100

// parse reads one document; the error is io.EOF if there is none.
func parse(text []byte) (*yaml.Node, error) {
	for range maxRepairs {
		document := new(yaml.Node)
		err := yaml.NewDecoder(bytes.NewReader(text)).Decode(document)
		if err == nil {
			return document, refusal(text, document)
		}
		accepted, ok := withoutStrictness(text, err)
		if !ok {
			return nil, err
		}
		text = accepted
	}
	return nil, fmt.Errorf("more than %d comments without a blank before the #", maxRepairs)
}

// withoutStrictness returns the text without the place that only the parser, not libyaml, refuses. Lines and columns of
// values stay as they are.
func withoutStrictness(text []byte, err error) ([]byte, bool) {
	var load *yaml.LoadError
	if !errors.As(err, &load) {
		return nil, false
	}
	at := newLines(text).offset(load.Mark.Line, load.Mark.Column)
	switch {
	case load.Message == "found a comment without preceding whitespace" && at < len(text) && text[at] == '#':
		return slices.Insert(slices.Clone(text), at, ' '), true
	case load.Message == "did not find expected <document start>" && at > 0 && at < len(text):
		// Ruby's Psych reads the first document only and ignores what follows it.
		return text[:at], true
	}
	return nil, false
}

// refusal returns the error that libyaml reports for a document that the parser has accepted, or nil.
func refusal(text []byte, document *yaml.Node) error {
	if i := bytes.IndexFunc(text, isControl); i >= 0 && !bytes.HasPrefix(text, []byte("\xff\xfe")) && !bytes.HasPrefix(text, []byte("\xfe\xff")) {
		return refused("control characters are not allowed", 1+bytes.Count(text[:i], []byte("\n")), 1)
	}
	if err := blankTabs(text); err != nil {
		return err
	}
	r := refuser{text: text, tabs: bytes.IndexByte(text, '\t') >= 0}
	return r.check(document, false)
}

func refused(message string, line, column int) error {
	return yaml.NewLoadError(yaml.ScannerStage, message, yaml.Mark{Line: line, Column: column}, nil)
}

// isControl reports whether r is one of the control characters that YAML 1.2 allows and YAML 1.1 does not.
func isControl(r rune) bool { return r >= 0x7F && r <= 0x9F && r != 0x85 }

var blankTab = lazyregexp.New(`(?m)^( *\t[ \t]*)(#.*|\r)?$`)

// blankTabs finds a tab that indents an empty line or a comment. To libyaml it is an error where it would be one in front
// of a value, so the text is parsed with values on these lines.
func blankTabs(text []byte) error {
	if !blankTab().Match(text) {
		return nil
	}
	var load *yaml.LoadError
	err := yaml.NewDecoder(bytes.NewReader(blankTab().ReplaceAll(text, []byte("${1}x")))).Decode(new(yaml.Node))
	if errors.As(err, &load) && (strings.Contains(load.Message, "tab character") || load.Message == "found character that cannot start any token") {
		return err
	}
	return nil
}

// A refuser checks the nodes of a document.
type refuser struct {
	text  []byte
	lines *lines
	tabs  bool // the text has tabs
}

// maxKey is the number of characters up to which a key may do without a question mark.
const maxKey = 1024

var anchorName = lazyregexp.New(`^[0-9A-Za-z_-]*$`)

func (r *refuser) check(n *yaml.Node, flow bool) error {
	if !anchorName().MatchString(n.Anchor) {
		return refused("did not find expected alphabetic or numeric character", n.Line, n.Column)
	}
	if r.tabs && !flow && n.Kind != yaml.DocumentNode && r.indentedByTab(n) {
		return refused("found a tab character that indents a value", n.Line, n.Column)
	}
	flow = flow || n.Style&yaml.FlowStyle != 0
	for i, child := range n.Content {
		key := n.Kind == yaml.MappingNode && i%2 == 0
		if key || flow && child.Kind == yaml.ScalarNode {
			if err := r.scalar(child, key, flow); err != nil {
				return err
			}
		}
		if err := r.check(child, flow); err != nil {
			return err
		}
	}
	return nil
}

// indentedByTab reports whether a tab stands before a value in a place where libyaml expects a key: at the beginning of a line, or
// behind the indicators "-", "?" and ":" that begin an entry.
func (r *refuser) indentedByTab(n *yaml.Node) bool {
	start := r.offset(n)
	line := r.text[bytes.LastIndexByte(r.text[:start], '\n')+1 : start]
	before := bytes.TrimRight(line, " \t")
	if !bytes.Contains(line[len(before):], []byte("\t")) {
		return false
	}
	indicator := bytes.TrimLeft(before, " \t")
	if len(indicator) > 1 { // "- - value", "key: - value": the last one decides
		i := bytes.LastIndexAny(indicator, " \t")
		if i < 0 || indicator[len(indicator)-1] == ':' {
			return false
		}
		indicator = indicator[i+1:]
	}
	return len(indicator) == 0 || len(indicator) == 1 && bytes.IndexByte([]byte("-?:"), indicator[0]) >= 0
}

func (r *refuser) offset(n *yaml.Node) int {
	if r.lines == nil {
		r.lines = newLines(r.text)
	}
	return r.lines.offset(n.Line, n.Column)
}

var attachedTag = lazyregexp.New(`^![^\s,\[\]{}]*[\]}]`)

var properties = regexp.MustCompile(`^(?:[&!][^\s,\[\]{}]*\s+)*`)

// scalar checks a scalar in a flow collection, or a key.
func (r *refuser) scalar(n *yaml.Node, key, flow bool) error {
	if n.Kind != yaml.ScalarNode || n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return nil
	}
	if key && !flow && len(n.Value) <= maxKey && n.Value != "" {
		return nil
	}
	start := r.offset(n)
	rest := r.text[start:]
	rest = rest[len(properties.Find(rest)):]
	plain := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) == 0
	if plain && flow && strings.Contains(n.Value, ":?") {
		return refused("found unexpected ':'", n.Line, n.Column)
	}
	empty := n.Value == "" && !key // the value of "[key: ]" is at its colon
	if plain && flow && len(rest) > 0 && (rest[0] == ':' && !empty || rest[0] == '?' && n.Value != "") ||
		plain && key && n.Value == "" && bytes.HasPrefix(rest, []byte(":")) {
		return refused("did not find expected node content", n.Line, n.Column)
	}
	if flow && attachedTag().Match(rest) {
		return refused("did not find expected whitespace or line break", n.Line, n.Column)
	}
	end := scalarEnd(rest, n)
	if end < 0 {
		return nil
	}
	after := bytes.TrimLeft(rest[end:], " \t\r\n")
	colon := bytes.HasPrefix(after, []byte(":"))
	if plain && flow && colon && len(after) == len(rest)-end && len(after) > 1 && bytes.IndexByte([]byte(",?[]{}"), after[1]) >= 0 {
		return refused("found unexpected ':'", n.Line, n.Column)
	}
	if !key || !colon || bytes.HasSuffix(bytes.TrimRight(r.text[:start], " \t\r\n"), []byte("?")) {
		return nil
	}
	written := rest[:len(rest)-len(after)]
	if bytes.ContainsAny(written, "\r\n") {
		return refused("did not find expected ',' or '}'", n.Line, n.Column)
	}
	if utf8.RuneCount(written) > maxKey {
		return refused("mapping values are not allowed in this context", n.Line, n.Column)
	}
	return nil
}

// scalarEnd returns where the scalar at the beginning of text ends, -1 if that is unclear.
func scalarEnd(text []byte, n *yaml.Node) int {
	switch {
	case n.Style&yaml.SingleQuotedStyle != 0:
		for i := 1; i < len(text); i++ {
			if text[i] != '\'' {
				continue
			}
			if i+1 == len(text) || text[i+1] != '\'' {
				return i + 1
			}
			i++
		}
		return -1
	case n.Style&yaml.DoubleQuotedStyle != 0:
		for i := 1; i < len(text); i++ {
			switch text[i] {
			case '\\':
				i++
			case '"':
				return i + 1
			}
		}
		return -1
	}
	// A plain scalar may go on in further lines, which are folded.
	value, i := []byte(n.Value), 0
	for len(value) > 0 {
		switch {
		case i == len(text):
			return -1
		case text[i] == value[0] && text[i] != ' ' && text[i] != '\n':
			i, value = i+1, value[1:]
		case bytes.IndexByte([]byte(" \t\r\n"), text[i]) >= 0 && bytes.IndexByte([]byte(" \t\n"), value[0]) >= 0:
			i += len(text[i:]) - len(bytes.TrimLeft(text[i:], " \t\r\n"))
			value = bytes.TrimLeft(value, " \t\n")
		default:
			return -1
		}
	}
	return i
}

// lines finds offsets in a text by lines and columns.
type lines struct {
	starts []int
	text   []byte
	// What was found last: the next place is usually behind it, and lines may be long.
	line, column, at int
}

var lineBreak = lazyregexp.New("\r\n|[\r\n\u0085\u2028\u2029]")

func newLines(text []byte) *lines {
	l := &lines{starts: []int{0}, text: text}
	if bytes.HasPrefix(text, []byte("\ufeff")) {
		l.starts[0] = len("\ufeff")
	}
	for _, at := range lineBreak().FindAllIndex(text, -1) {
		l.starts = append(l.starts, at[1])
	}
	return l
}

// offset returns the offset of a character by its line and column.
func (l *lines) offset(line, column int) int {
	if line < 1 || line > len(l.starts) {
		return 0
	}
	if line != l.line || column < l.column {
		l.line, l.column, l.at = line, 1, l.starts[line-1]
	}
	for ; l.column < column && l.at < len(l.text); l.column++ {
		_, size := utf8.DecodeRune(l.text[l.at:])
		l.at += size
	}
	return l.at
}
