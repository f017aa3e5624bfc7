// Package quickyaml reads the YAML that people write in configurations: block mappings and sequences, plain and quoted
// scalars, literal and folded blocks, flow collections, comments. It gives the nodes that go.yaml.in/yaml/v3 gives, or
// declines. Anchors, aliases, tags other than !reference, quoted scalars of several lines, directives and whatever looks
// like an error are declined: the full parser knows what they mean, and what to say.
//
// It is here because reading YAML was most of what a run of the engine did, and this takes a tenth of the time. That both
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
	'0': 0, 'a': '\a', 'b': '\b', 't': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'e': 0x1B, ' ': ' ', '"': '"', '/': '/', '\\': '\\',
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
	n.Style = yaml.FlowStyle
	from := len(p.stack)
	p.pos++
	for p.flowNext() != ']' {
		p.push(p.flowValue())
		p.comma(']')
	}
	p.pos++
	return p.close(n, from)
}

func (p *parser) flowMapping() *yaml.Node {
	n := p.node(yaml.MappingNode, "!!map", p.pos)
	n.Style = yaml.FlowStyle
	from := len(p.stack)
	p.pos++
	for p.flowNext() != '}' {
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
		p.comma('}')
	}
	p.pos++
	return p.close(n, from)
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
