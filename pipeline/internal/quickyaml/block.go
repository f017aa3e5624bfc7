package quickyaml

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// block reads the node that begins at pos, the first of its line or behind the dash of an item, in the given column. It is
// part of a collection whose indentation is parent. Afterwards pos is at the next content.
func (p *parser) block(indent, parent int) *yaml.Node {
	p.deeper()
	defer func() { p.depth-- }()
	if p.isDash() {
		return p.sequence(indent, false)
	}
	if p.keyEnd() >= 0 {
		return p.mapping(indent)
	}
	n := p.value(parent)
	p.nextLine()
	return n
}

func (p *parser) isDash() bool { return p.at(p.pos) == '-' && p.isBlankAt(p.pos+1) }

// indent is the indentation of the content at pos.
func (p *parser) indent() int {
	if p.pos >= len(p.text) {
		return -1
	}
	return p.pos - p.start
}

// mapping reads the block mapping whose first key is at pos.
func (p *parser) mapping(indent int) *yaml.Node {
	n := p.node(yaml.MappingNode, "!!map", p.pos)
	from := len(p.stack)
	for first := true; first || p.indent() == indent; first = false {
		if p.isDash() {
			p.decline()
		}
		p.push(p.key())
		p.push(p.entry(indent))
	}
	if p.indent() > indent {
		p.decline()
	}
	return p.close(n, from)
}

// key reads a key and its colon.
func (p *parser) key() *yaml.Node {
	end := p.keyEnd()
	if end < 0 || end-p.pos > maxKey {
		p.decline()
	}
	at := p.pos
	p.pos = end + 1
	text := strings.TrimRight(p.text[at:end], " ")
	if c := text[0]; c == '"' || c == '\'' {
		value, _ := p.quoted(at)
		return p.scalar(quoteStyle(c), value, at)
	}
	if text == "<<" {
		p.decline()
	}
	return p.scalar(0, text, at)
}

func quoteStyle(c byte) yaml.Style {
	if c == '"' {
		return yaml.DoubleQuotedStyle
	}
	return yaml.SingleQuotedStyle
}

// keyEnd finds the colon of the key that begins at pos; -1 if none begins there.
func (p *parser) keyEnd() int {
	i := p.pos
	switch p.at(i) {
	case '"', '\'':
		_, i = p.quoted(i)
		for p.at(i) == ' ' {
			i++
		}
		if p.at(i) == ':' && p.isBlankAt(i+1) {
			return i
		}
		return -1
	case '[', '{', '!', '|', '>':
		return -1
	}
	p.plainStart(i)
	return p.colon(i)
}

// colon finds the ": " in the rest of a line before a comment, -1 if there is none.
func (p *parser) colon(i int) int {
	for ; p.at(i) != '\n'; i++ {
		switch p.text[i] {
		case ':':
			if p.isBlankAt(i + 1) {
				return i
			}
		case '#':
			if p.text[i-1] == ' ' {
				return -1
			}
		case '\t':
			p.decline()
		}
	}
	return -1
}

// plainStart declines what cannot be the first character of a plain scalar, or is another thing.
func (p *parser) plainStart(i int) {
	switch c := p.at(i); c {
	case '-':
		if p.isBlankAt(i+1) || p.at(i+1) == '\t' {
			p.decline()
		}
	case '?', ':', ',', '[', ']', '{', '}', '#', '&', '*', '!', '|', '>', '\'', '"', '%', '@', '`', '\t', '\n':
		p.decline()
	}
}

// entry reads the value of a key in a mapping of this indentation; pos is behind the colon.
func (p *parser) entry(indent int) *yaml.Node {
	line, column := p.line, p.column(p.pos)
	if p.restIsBlank() {
		switch next := p.nextLine(); {
		case next > indent:
			return p.block(next, indent)
		case next == indent && p.isDash():
			p.deeper()
			defer func() { p.depth-- }()
			return p.sequence(indent, true)
		}
		return p.null(line, column)
	}
	if p.isDash() {
		p.decline()
	}
	n := p.value(indent)
	p.nextLine()
	return n
}

// restIsBlank skips blanks; if nothing else than a comment follows on the line, it goes to the next line.
func (p *parser) restIsBlank() bool {
	from := p.pos
	for p.at(p.pos) == ' ' {
		p.pos++
	}
	if c := p.at(p.pos); c != '\n' && c != '#' {
		return false
	}
	p.endLine(from)
	return true
}

// sequence reads the block sequence whose first dash is at pos. One that stands as deep as the keys around it, which
// YAML allows as the value of a key, ends at the next key.
func (p *parser) sequence(indent int, asDeepAsKey bool) *yaml.Node {
	n := p.node(yaml.SequenceNode, "!!seq", p.pos)
	from := len(p.stack)
	for p.indent() == indent || len(p.stack) == from {
		if !p.isDash() {
			if asDeepAsKey {
				break
			}
			p.decline()
		}
		p.pos++
		p.push(p.item(indent))
	}
	if p.indent() > indent {
		p.decline()
	}
	return p.close(n, from)
}

// item reads an item; pos is behind its dash.
func (p *parser) item(indent int) *yaml.Node {
	line, column := p.line, p.column(p.pos)
	if !p.restIsBlank() {
		return p.block(p.pos-p.start, indent)
	}
	if next := p.nextLine(); next > indent {
		return p.block(next, indent)
	}
	return p.null(line, column)
}

// value reads what is no block collection, up to the end of its last line. Its lines are deeper than parent.
func (p *parser) value(parent int) *yaml.Node {
	at := p.pos
	switch c := p.at(at); c {
	case '"', '\'':
		value, end := p.quoted(at)
		n := p.scalar(quoteStyle(c), value, at)
		p.endLine(end)
		return n
	case '|', '>':
		return p.blockScalar(parent)
	case '[', '{', '!':
		n := p.flow()
		p.endLine(p.pos)
		return n
	}
	return p.plain(parent)
}
