package quickyaml

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// flow reads the flow collection at pos, after a tag !reference if there is one, and stops behind it.
func (p *parser) flow() *yaml.Node {
	p.deeper()
	defer func() { p.depth-- }()
	const reference = "!reference "
	if p.at(p.pos) == '!' {
		at := p.pos
		if !strings.HasPrefix(p.text[at:], reference) {
			p.decline()
		}
		for p.pos += len(reference); p.at(p.pos) == ' '; p.pos++ {
		}
		if p.at(p.pos) != '[' {
			p.decline()
		}
		line, column := p.line, p.column(at)
		n := p.flowSequence()
		n.Tag, n.Style, n.Line, n.Column = "!reference", n.Style|yaml.TaggedStyle, line, column
		return n
	}
	if p.at(p.pos) == '[' {
		return p.flowSequence()
	}
	return p.flowMapping()
}

func (p *parser) flowSequence() *yaml.Node {
	n := p.node(yaml.SequenceNode, "!!seq", p.pos)
	return p.flowItems(n, ']', func() { p.push(p.flowValue()) })
}

func (p *parser) flowMapping() *yaml.Node {
	n := p.node(yaml.MappingNode, "!!map", p.pos)
	return p.flowItems(n, '}', p.flowEntry)
}

// flowItems reads the items of a flow collection from its opening bracket to behind the closing one.
func (p *parser) flowItems(n *yaml.Node, closing byte, item func()) *yaml.Node {
	n.Style = yaml.FlowStyle
	from := len(p.stack)
	p.pos++
	for p.flowNext() != closing {
		item()
		p.comma(closing)
	}
	p.pos++
	return p.close(n, from)
}

// flowEntry reads a key and its value.
func (p *parser) flowEntry() {
	line, at := p.line, p.pos
	key := p.flowScalar()
	for p.at(p.pos) == ' ' {
		p.pos++
	}
	if p.line != line || p.at(p.pos) != ':' || !p.isBlankAt(p.pos+1) || p.pos-at > maxKey || key.Value == "<<" {
		p.decline()
	}
	p.push(key)
	p.pos++
	if c := p.flowNext(); c == ',' || c == '}' {
		p.decline()
	}
	p.push(p.flowValue())
}

// comma goes behind the comma that follows an item, or to the end of the collection.
func (p *parser) comma(closing byte) {
	switch p.flowNext() {
	case ',':
		p.pos++
	case closing:
	default:
		p.decline()
	}
}

// flowNext skips blanks, comments and line feeds inside of a flow collection and gives the character there.
func (p *parser) flowNext() byte {
	for p.pos < len(p.text) {
		switch c := p.text[p.pos]; c {
		case ' ':
			p.pos++
		case '\n':
			p.newline(p.pos)
		case '#', '\t':
			p.decline()
		default:
			return c
		}
	}
	p.decline()
	return 0
}

func (p *parser) flowValue() *yaml.Node {
	switch p.at(p.pos) {
	case '[', '{', '!':
		return p.flow()
	}
	return p.flowScalar()
}

// flowScalar reads a scalar in a flow collection and stops behind it, on its line.
func (p *parser) flowScalar() *yaml.Node {
	at := p.pos
	if c := p.at(at); c == '"' || c == '\'' {
		value, end := p.quoted(at)
		p.pos = end
		return p.scalar(quoteStyle(c), value, at)
	}
	p.plainStart(at)
	i := at
	for ; p.at(i) != '\n'; i++ {
		c := p.text[i]
		if c == ',' || c == ']' || c == '}' {
			break
		}
		if c == ':' {
			if p.isBlankAt(i + 1) {
				break
			}
			if strings.IndexByte(",[]{}", p.at(i+1)) >= 0 {
				p.decline()
			}
		}
		if c == '?' || c == '[' || c == '{' || c == '\t' || c == '#' {
			p.decline()
		}
	}
	text := strings.TrimRight(p.text[at:i], " ")
	n := p.scalar(0, text, at)
	p.pos = i
	if p.at(i) == '\n' {
		// The scalar may go on in the next line.
		if c := p.flowNext(); c != ',' && c != ']' && c != '}' {
			p.decline()
		}
	}
	return n
}
