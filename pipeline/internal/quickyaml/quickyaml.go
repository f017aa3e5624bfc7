// Package quickyaml reads the YAML that people write in configurations: block mappings and sequences, plain and quoted
// scalars, literal and folded blocks, flow collections, comments. It gives the nodes that go.yaml.in/yaml/v3 gives, or
// declines. Anchors, aliases, tags other than !reference, quoted scalars of several lines, directives and whatever looks
// like an error are declined: the full parser knows what they mean, and what to say.
//
// It is here because reading YAML was most of what a run of the engine did, and this takes a fifth of the time. That both
// readers agree is what the package's fuzz target checks.
package quickyaml

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

const (
	// maxDepth bounds the recursion; deeper files are for the full parser.
	maxDepth = 64
	// maxKey bounds the keys of mappings; the full parser refuses keys of more than 1024 characters.
	maxKey = 512
)

// Parse gives the document of a text without document markers; ok is false if the full parser has to read it. The tag of
// a plain scalar is left out, [yaml.Node.ShortTag] gives it; comments are left out, too.
func Parse(text []byte) (document *yaml.Node, ok bool) {
	ascii, ok := readable(text)
	if !ok {
		return nil, false
	}
	p := &parser{text: string(text), ascii: ascii, line: 1}
	defer func() {
		if r := recover(); r != nil {
			if _, declined := r.(decline); !declined {
				panic(r)
			}
			document, ok = nil, false
		}
	}()
	indent := p.nextLine()
	if indent < 0 {
		return nil, false
	}
	document = p.node(yaml.DocumentNode, "", p.pos)
	root := p.block(indent, -1)
	if root.Kind == yaml.ScalarNode || root.Style&yaml.FlowStyle != 0 || p.pos < len(p.text) {
		return nil, false
	}
	document.Content = []*yaml.Node{root}
	return document, true
}

// readable says whether a text has only characters whose meaning does not depend on where they stand, and whether all of
// them are ASCII.
func readable(text []byte) (ascii, ok bool) {
	ascii = true
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c < utf8.RuneSelf:
			if c < ' ' && c != '\n' && c != '\t' || c == 0x7F {
				return false, false
			}
			i++
		default:
			ascii = false
			r, size := utf8.DecodeRune(text[i:])
			switch {
			case r == utf8.RuneError && size == 1, r < 0xA0, r == 0x2028, r == 0x2029, r == 0xFEFF, r == 0xFFFE, r == 0xFFFF:
				return false, false
			}
			i += size
		}
	}
	for _, marker := range []string{"---", "...", "%"} {
		if bytes.HasPrefix(text, []byte(marker)) || bytes.Contains(text, []byte("\n"+marker)) {
			return false, false
		}
	}
	return ascii, true
}

// decline is what a parser panics with where the full one has to take over.
type decline struct{}

type parser struct {
	text  string
	ascii bool
	pos   int
	// start is where the line of pos begins, line its number from 1.
	start, line int
	depth       int
	// slab and children hold nodes and contents that are not given out yet, stack the contents of open collections.
	slab     []yaml.Node
	children []*yaml.Node
	stack    []*yaml.Node
}

func (p *parser) decline() { panic(decline{}) }

// at gives a byte of the text; a line feed beyond its end.
func (p *parser) at(i int) byte {
	if i < len(p.text) {
		return p.text[i]
	}
	return '\n'
}

func (p *parser) isBlankAt(i int) bool { c := p.at(i); return c == ' ' || c == '\n' }

func (p *parser) node(kind yaml.Kind, tag string, at int) *yaml.Node {
	if len(p.slab) == 0 {
		// A small file has few nodes; a long one is worth more memory at once.
		p.slab = make([]yaml.Node, min(max(8, (len(p.text)-p.pos)/16), 256))
	}
	n := &p.slab[0]
	p.slab = p.slab[1:]
	n.Kind, n.Tag, n.Line, n.Column = kind, tag, p.line, p.column(at)
	return n
}

// column is the 1-based column, in characters, of a byte in the current line.
func (p *parser) column(at int) int {
	if p.ascii {
		return at - p.start + 1
	}
	return utf8.RuneCountInString(p.text[p.start:at]) + 1
}

func (p *parser) scalar(style yaml.Style, value string, at int) *yaml.Node {
	tag := ""
	if style != 0 {
		tag = "!!str"
	}
	n := p.node(yaml.ScalarNode, tag, at)
	n.Style, n.Value = style, value
	return n
}

// null is the value of a key or an item that has none; it stands where it would.
func (p *parser) null(line, column int) *yaml.Node {
	n := p.node(yaml.ScalarNode, "!!null", p.pos)
	n.Line, n.Column = line, column
	return n
}

// close gives a collection what was put on the stack since it was opened.
func (p *parser) close(n *yaml.Node, from int) *yaml.Node {
	if size := len(p.stack) - from; size > 0 {
		if len(p.children) < size {
			p.children = make([]*yaml.Node, max(size, 256))
		}
		n.Content = p.children[:size:size]
		p.children = p.children[size:]
		copy(n.Content, p.stack[from:])
		p.stack = p.stack[:from]
	}
	return n
}

func (p *parser) push(n *yaml.Node) { p.stack = append(p.stack, n) }

func (p *parser) deeper() {
	if p.depth++; p.depth > maxDepth {
		p.decline()
	}
}

// nextLine moves from the beginning of a line to the first character of the next content, which may be on this line, and
// gives its indentation; -1 at the end of the text.
func (p *parser) nextLine() int {
	for p.pos < len(p.text) {
		i := p.pos
		for p.at(i) == ' ' {
			i++
		}
		switch p.at(i) {
		case '\t':
			p.decline()
		case '\n':
		case '#':
			if end := strings.IndexByte(p.text[i:], '\n'); end >= 0 {
				i += end
			} else {
				i = len(p.text)
			}
		default:
			indent := i - p.pos
			p.pos = i
			return indent
		}
		p.newline(i)
	}
	return -1
}

// newline moves behind the line feed at i.
func (p *parser) newline(i int) {
	p.pos = min(i+1, len(p.text))
	p.start = p.pos
	p.line++
}

// endLine goes from behind a value to the next line: only a comment may stand there.
func (p *parser) endLine(i int) {
	blank := i
	for p.at(i) == ' ' {
		i++
	}
	if p.at(i) == '#' && i > blank {
		end := strings.IndexByte(p.text[i:], '\n')
		if end < 0 {
			end = len(p.text) - i
		}
		i += end
	}
	if p.at(i) != '\n' {
		p.decline()
	}
	p.newline(i)
}
