package quickyaml

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// plain reads a plain scalar, which may go on in deeper lines.
func (p *parser) plain(parent int) *yaml.Node {
	at := p.pos
	p.plainStart(at)
	n := p.scalar(0, "", at)
	text, comment := p.plainLine()
	var folded strings.Builder
	for {
		breaks := 0
		line, start, pos := p.line, p.start, p.pos
		for p.pos < len(p.text) {
			i := p.pos
			for p.at(i) == ' ' {
				i++
			}
			if p.at(i) != '\n' {
				p.pos = i
				break
			}
			breaks++
			p.newline(i)
		}
		if p.indent() <= parent {
			p.line, p.start, p.pos = line, start, pos
			break
		}
		if comment || p.at(p.pos) == '#' || p.at(p.pos) == '\t' {
			p.decline()
		}
		if folded.Len() == 0 {
			folded.WriteString(text)
		}
		if breaks == 0 {
			folded.WriteByte(' ')
		}
		for range breaks {
			folded.WriteByte('\n')
		}
		text, comment = p.plainLine()
		folded.WriteString(text)
	}
	if n.Value = text; folded.Len() > 0 {
		n.Value = folded.String()
	}
	return n
}

// plainLine reads the part of a plain scalar on the current line and goes to the next one.
func (p *parser) plainLine() (text string, comment bool) {
	i := p.pos
	for ; p.at(i) != '\n'; i++ {
		switch p.text[i] {
		case ':':
			if p.isBlankAt(i + 1) {
				p.decline()
			}
			continue
		case '\t':
			p.decline()
		case '#':
			comment = p.text[i-1] == ' '
		}
		if comment {
			break
		}
	}
	text = strings.TrimRight(p.text[p.pos:i], " ")
	for p.at(i) != '\n' {
		i++
	}
	p.newline(i)
	return text, comment
}

// quoted reads the quoted scalar at i, which ends on its line, and gives its value and the place behind it.
func (p *parser) quoted(i int) (value string, end int) {
	quote := p.text[i]
	from := i + 1
	for i = from; ; i++ {
		switch c := p.at(i); {
		case c == '\n':
			p.decline()
		case c == '\\' && quote == '"':
			return p.escaped(from, i)
		case c != quote:
		case quote == '\'' && p.at(i+1) == quote:
			return p.doubled(from)
		default:
			return p.text[from:i], i + 1
		}
	}
}

// doubled reads a single-quoted scalar in which quotes are written twice.
func (p *parser) doubled(from int) (value string, end int) {
	var b strings.Builder
	for i := from; ; i++ {
		c := p.at(i)
		switch {
		case c == '\n':
			p.decline()
		case c == '\'' && p.at(i+1) != '\'':
			return b.String(), i + 1
		case c == '\'':
			i++
		}
		b.WriteByte(c)
	}
}

var escapes = map[byte]byte{
	'0': 0, 'a': '\a', 'b': '\b', 't': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'e': 0x1B, ' ': ' ', '"': '"', '\\': '\\',
}

// escaped reads a double-quoted scalar whose first backslash is at i.
func (p *parser) escaped(from, i int) (value string, end int) {
	var b strings.Builder
	b.WriteString(p.text[from:i])
	for ; ; i++ {
		c := p.at(i)
		switch c {
		case '\n':
			p.decline()
		case '"':
			return b.String(), i + 1
		case '\\':
			i++
			written, ok := escapes[p.at(i)]
			if !ok {
				p.decline()
			}
			c = written
		}
		b.WriteByte(c)
	}
}

// blockScalar reads a literal or a folded scalar.
func (p *parser) blockScalar(parent int) *yaml.Node {
	at := p.pos
	style := yaml.LiteralStyle
	if p.at(at) == '>' {
		style = yaml.FoldedStyle
	}
	n := p.scalar(style, "", at)
	chomp, given := byte(0), 0
	i := at + 1
	for ; ; i++ {
		c := p.at(i)
		if (c == '+' || c == '-') && chomp == 0 {
			chomp = c
		} else if c >= '1' && c <= '9' && given == 0 {
			given = int(c - '0')
		} else {
			break
		}
	}
	p.endLine(i)
	indent := max(parent, 0) + given
	if given == 0 {
		indent = p.blockIndent(parent)
	}
	n.Value = p.blockText(indent, style == yaml.FoldedStyle, chomp)
	return n
}

// blockIndent is the indentation of the first line that is not blank.
func (p *parser) blockIndent(parent int) int {
	deepest := 0
	for start := p.pos; start < len(p.text); {
		i := start
		for p.at(i) == ' ' {
			i++
		}
		switch p.at(i) {
		case '\n':
			deepest = max(deepest, i-start)
			start = i + 1
			continue
		case '\t':
			p.decline()
		}
		if i-start <= parent || i-start < deepest || i == start {
			p.decline()
		}
		return i - start
	}
	p.decline()
	return 0
}

// blockText reads the lines of a block scalar and goes to the line behind them.
func (p *parser) blockText(indent int, fold bool, chomp byte) string {
	var b strings.Builder
	// ended says that the last line of text ended in a line feed, which stands before the empty lines that are counted.
	ended, empty, spaced := false, 0, false
	for p.pos < len(p.text) {
		i := p.pos
		for i-p.pos < indent && p.at(i) == ' ' {
			i++
		}
		c := p.at(i)
		if c == '\n' {
			if i >= len(p.text) {
				// Blanks without a line feed at the end of the text.
				p.decline()
			}
			empty++
			p.newline(i)
			continue
		}
		if i-p.pos < indent {
			if c == '\t' {
				p.decline()
			}
			break
		}
		spacedNow := c == ' ' || c == '\t'
		if fold && ended && !spaced && !spacedNow {
			if empty == 0 {
				b.WriteByte(' ')
			}
		} else if ended {
			b.WriteByte('\n')
		}
		for range empty {
			b.WriteByte('\n')
		}
		empty, spaced = 0, spacedNow
		end := strings.IndexByte(p.text[i:], '\n')
		if ended = end >= 0; !ended {
			end = len(p.text) - i
		}
		b.WriteString(p.text[i : i+end])
		p.newline(i + end)
	}
	if chomp != '-' && ended {
		b.WriteByte('\n')
	}
	if chomp == '+' {
		for range empty {
			b.WriteByte('\n')
		}
	}
	return b.String()
}
