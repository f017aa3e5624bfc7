package yamltree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// Limits of one file. GitLab's are an amount of memory (about 50,000 values) and 100 levels.
const (
	MaxSize  = 1 << 17
	MaxDepth = 100
	// MaxBytes is GitLab's default limit of a file's size.
	MaxBytes = 2 << 20
)

// maxDocuments is how many documents GitLab reads of a file: the header and the configuration.
const maxDocuments = 2

// A SyntaxError says that a file is not YAML that GitLab could read.
type SyntaxError struct {
	Position Position
	Message  string
	// Hint, if there is one, says what would be right.
	Hint string
}

func (e *SyntaxError) Error() string { return e.Message }

// Parse reads the documents of a file that are not blank: one, or a header and a configuration.
func Parse(file string, content []byte) ([]*Node, error) {
	return Convert(file, Read(file, content))
}

// Written is what a file holds as it is written: the parser's nodes, with styles and anchors. Comments may be left out, as
// may the tags of plain scalars ([yaml.Node.ShortTag] gives them). Lines are counted from the beginning of the file.
type Written struct {
	// Documents are those before the error, if there is one.
	Documents []*yaml.Node
	Err       error
}

// Read parses the documents of a file.
func Read(file string, content []byte) Written {
	if len(content) > MaxBytes {
		return Written{Err: &SyntaxError{Position: Position{File: file}, Message: fmt.Sprintf("the file is bigger than %d bytes", MaxBytes)}}
	}
	var w Written
	content, legacy := withoutLegacyEncoding(content)
	for _, part := range split(content) {
		document, err := parse(part.text)
		if err == nil && legacy {
			err = replacedText(document)
		}
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil {
			w.Err = syntaxError(file, part.line, err)
			break
		}
		if part.line > 0 {
			moveDown(document, part.line)
		}
		w.Documents = append(w.Documents, document)
	}
	return w
}

// NotUTF8 is the message of the error for a value in another encoding.
const NotUTF8 = "this value is not UTF-8"

// withoutLegacyEncoding replaces the bytes that are not UTF-8, and reports whether there are any. GitLab guesses the encoding
// of such a file; in comments it does not matter.
func withoutLegacyEncoding(content []byte) ([]byte, bool) {
	if utf8.Valid(content) || bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")) {
		return content, false
	}
	return bytes.ToValidUTF8(content, []byte(string(utf8.RuneError))), true
}

// replacedText returns an error if a replaced byte is part of a value.
func replacedText(n *yaml.Node) error {
	if strings.ContainsRune(n.Value+n.Anchor+n.Tag, utf8.RuneError) {
		return refused(NotUTF8, n.Line, n.Column)
	}
	for _, child := range n.Content {
		if err := replacedText(child); err != nil {
			return err
		}
	}
	return nil
}

// moveDown adds to the lines of all nodes.
func moveDown(n *yaml.Node, lines int) {
	n.Line += lines
	for _, child := range n.Content {
		moveDown(child, lines)
	}
}

// Convert makes trees of the documents that are not blank.
func Convert(file string, written Written) ([]*Node, error) {
	var documents []*Node
	for _, document := range written.Documents {
		n, err := convertDocument(file, document)
		if err != nil {
			return nil, err
		}
		if n.IsBlank() {
			continue
		}
		if n.Kind != Mapping {
			return nil, &SyntaxError{Position: n.Position, Message: "the file should hold a mapping of keys to values, not " + article(n.Kind)}
		}
		documents = append(documents, n)
	}
	if written.Err != nil {
		return nil, written.Err
	}
	return documents, nil
}

func article(k Kind) string {
	if k == Int || k == Sequence {
		return "an " + k.String()
	}
	return "a " + k.String()
}

type part struct {
	text []byte
	line int // number of lines before the text
}

// split cuts a file at the lines that begin with "---" and white space, as GitLab does before it parses: the white space
// after the dashes, even the indentation of the next line, goes with them.
func split(content []byte) []part {
	parts := []part{{text: content}}
	for from := 0; len(parts) <= maxDocuments; {
		last := &parts[len(parts)-1]
		start, end := divider(last.text, from)
		if start < 0 {
			break
		}
		next := part{text: last.text[end:], line: last.line + bytes.Count(last.text[:end], []byte("\n"))}
		last.text = last.text[:start]
		parts = append(parts, next)
	}
	return parts
}

func divider(text []byte, from int) (start, end int) {
	for i := from; i < len(text); {
		line := text[i:]
		if bytes.HasPrefix(line, []byte("---")) {
			rest := bytes.TrimLeft(line[3:], " \t\n\v\f\r")
			if n := len(line) - len(rest); n > 3 {
				return i, i + n
			}
		}
		next := bytes.IndexByte(line, '\n')
		if next < 0 {
			break
		}
		i += next + 1
	}
	return -1, -1
}

func convertDocument(file string, document *yaml.Node) (*Node, error) {
	c := converter{file: file}
	n, err := c.convert(document, 0)
	if err != nil {
		return nil, err
	}
	if n.Size() > MaxSize {
		return nil, &SyntaxError{Position: n.Position, Message: fmt.Sprintf("the file is too big: more than %d values, counting the values of aliases", MaxSize)}
	}
	return n, nil
}

// syntaxError locates what the parser reports in a part that begins after some lines of the file.
func syntaxError(file string, before int, err error) *SyntaxError {
	at := Position{File: file, Line: before + 1, Column: 1}
	message := err.Error()
	var load *yaml.LoadError
	if errors.As(err, &load) {
		message = load.Message
		if load.Mark.Line > 0 {
			at.Line, at.Column = before+load.Mark.Line, load.Mark.Column
		}
	}
	return &SyntaxError{Position: at, Message: message}
}

// A converter makes nodes of the parser's; anchored values are converted once and shared.
type converter struct {
	file     string
	anchored map[*yaml.Node]*Node
}

func (c *converter) position(n *yaml.Node) Position {
	return Position{File: c.file, Line: n.Line, Column: n.Column}
}

func (c *converter) fail(n *yaml.Node, format string, args ...any) error {
	return &SyntaxError{Position: c.position(n), Message: fmt.Sprintf(format, args...)}
}

func (c *converter) convert(n *yaml.Node, depth int) (*Node, error) {
	if depth > MaxDepth {
		return nil, c.fail(n, "nested too deep: more than %d levels", MaxDepth)
	}
	switch n.Kind {
	case yaml.DocumentNode:
		return c.convert(n.Content[0], depth)
	case yaml.AliasNode:
		shared, ok := c.anchored[n.Alias]
		if !ok {
			return nil, c.fail(n, "the alias *%s is inside its own anchor", n.Value)
		}
		if depth+shared.depth > MaxDepth {
			return nil, c.fail(n, "nested too deep: more than %d levels", MaxDepth)
		}
		return shared, nil
	}
	result, err := c.convertValue(n, depth)
	if err == nil && n.Anchor != "" {
		if c.anchored == nil {
			c.anchored = make(map[*yaml.Node]*Node)
		}
		c.anchored[n] = result
	}
	return result, err
}

func (c *converter) convertValue(n *yaml.Node, depth int) (*Node, error) {
	if tag := explicitTag(n); forbiddenTag(tag, n.Kind) {
		return nil, c.fail(n, "the tag %s is not allowed", tag)
	}
	if n.Tag == "!reference" && n.Kind != yaml.SequenceNode {
		return newList(Reference, nil, c.position(n)), nil
	}
	switch n.Kind {
	case yaml.SequenceNode:
		return c.convertSequence(n, depth)
	case yaml.MappingNode:
		return c.convertMapping(n, depth)
	default:
		return c.convertScalar(n)
	}
}

func (c *converter) convertScalar(n *yaml.Node) (*Node, error) {
	const quoted = yaml.DoubleQuotedStyle | yaml.SingleQuotedStyle | yaml.LiteralStyle | yaml.FoldedStyle
	var kind Kind
	var text string
	var err error
	switch tag := explicitTag(n); {
	case tag != "":
		kind, text, err = resolveTagged(tag, n.Value)
	case n.Style&quoted != 0:
		kind, text = String, n.Value
	default:
		kind, text, err = resolve(n.Value)
	}
	if err != nil {
		return nil, c.fail(n, "%v", err)
	}
	scalar := NewScalar(kind, text, c.position(n))
	scalar.Symbol = n.Style&quoted == 0 && explicitTag(n) == "" && kind == String && n.Value == ":"+text
	return scalar, nil
}

// explicitTag returns the tag that is written at a node, in its short form; empty if there is none.
func explicitTag(n *yaml.Node) string {
	if n.Style&yaml.TaggedStyle == 0 && n.Tag != "!" {
		return ""
	}
	if n.Tag == "!" {
		return n.Tag
	}
	return n.ShortTag()
}

func (c *converter) convertSequence(n *yaml.Node, depth int) (*Node, error) {
	items := make([]*Node, len(n.Content))
	for i, content := range n.Content {
		item, err := c.convert(content, depth+1)
		if err != nil {
			return nil, err
		}
		items[i] = item
	}
	if tag := explicitTag(n); tag == "!!omap" || tag == "!omap" {
		return orderedMap(items, c.position(n)), nil
	}
	kind := Sequence
	if n.Tag == "!reference" {
		kind = Reference
	}
	return newList(kind, items, c.position(n)), nil
}

// orderedMap makes a mapping of the first entry, or of the first two items, of each value, as Psych does.
func orderedMap(items []*Node, at Position) *Node {
	pairs := make([]Pair, 0, len(items))
	for _, item := range items {
		switch {
		case item.Kind == Mapping && len(item.Pairs) > 0:
			pairs = append(pairs, Pair{item.Pairs[0].Key, item.Pairs[len(item.Pairs)-1].Value})
		case len(item.Items) > 0:
			pairs = append(pairs, Pair{item.Items[0], item.Items[len(item.Items)-1]})
		}
	}
	return NewUniqueMapping(pairs, at)
}

func (c *converter) convertMapping(n *yaml.Node, depth int) (*Node, error) {
	b := builder{pairs: make([]Pair, 0, len(n.Content)/2)}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := c.convert(n.Content[i], depth+1)
		if err != nil {
			return nil, err
		}
		value, err := c.convert(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		if key.Kind == String && key.Text == "<<" && b.merge(n.Content[i+1].Kind, value) {
			continue
		}
		b.set(Pair{key, value})
	}
	return NewMapping(b.pairs, c.position(n)), nil
}

// A builder collects the entries of a mapping of which later ones replace earlier ones with the same key.
type builder struct {
	pairs []Pair
	index map[string]int
}

func (b *builder) set(p Pair) {
	if b.index == nil && len(b.pairs) >= indexFrom {
		b.index = make(map[string]int, cap(b.pairs))
		for i := range b.pairs {
			b.index[b.pairs[i].Key.Text] = i
		}
	}
	if b.index != nil {
		if i, ok := b.index[p.Key.Text]; ok {
			b.pairs[i] = p
			return
		}
		b.index[p.Key.Text] = len(b.pairs)
		b.pairs = append(b.pairs, p)
		return
	}
	for i := range b.pairs {
		if b.pairs[i].Key.Text == p.Key.Text {
			b.pairs[i] = p
			return
		}
	}
	b.pairs = append(b.pairs, p)
}

// merge takes in the value of a merge key; false if it is nothing that can be merged, and so an ordinary value. Of a list
// the first mapping wins. What is merged overwrites the keys that were written before the merge key.
func (b *builder) merge(written yaml.Kind, value *Node) bool {
	switch {
	case value.Kind == Mapping:
		for _, p := range value.Pairs {
			b.set(p)
		}
		return true
	case value.Kind == Sequence && written == yaml.SequenceNode:
		for _, item := range value.Items {
			if item.Kind != Mapping {
				return false
			}
		}
		for i := len(value.Items) - 1; i >= 0; i-- {
			for _, p := range value.Items[i].Pairs {
				b.set(p)
			}
		}
		return true
	}
	return false
}
