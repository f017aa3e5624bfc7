package yamltree

import (
	"bufio"
	"io"
	"slices"
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

// Write writes a mapping as YAML that reads back as the same. With comments, "# ci/lint.yml:12" names where each key of it, and each part
// that comes from another place, was written.
func Write(w io.Writer, root *Node, comments bool) error {
	e := &emitter{out: bufio.NewWriter(w), comments: comments, blocks: blocks(root)}
	for i, pair := range root.Pairs {
		if i > 0 {
			e.out.WriteByte('\n')
		}
		if at := pair.Key.Position.String(); comments && at != "" {
			e.out.WriteString("# " + at + "\n")
		}
		e.entry(pair, 0, e.block(pair.Key.Position))
	}
	if len(root.Pairs) == 0 {
		e.out.WriteString("{}\n")
	}
	return e.out.Flush()
}

// An emitter writes nodes in block style.
type emitter struct {
	out      *bufio.Writer
	comments bool
	// blocks are the lines of the top-level keys, by file, sorted: a part belongs to the last one before it.
	blocks map[string][]int
}

// blocks returns the lines of the top-level keys, by file. It does not see keys that another file has overridden, so there may be a
// superfluous comment, but none is missing.
func blocks(root *Node) map[string][]int {
	found := map[string][]int{}
	for _, pair := range root.Pairs {
		at := pair.Key.Position
		found[at.File] = append(found[at.File], at.Line)
	}
	for _, lines := range found {
		slices.Sort(lines)
	}
	return found
}

// A block is the top-level part of a file that contains a place.
type block struct {
	file string
	line int
}

func (e *emitter) block(at Position) block {
	b := block{file: at.File}
	for _, line := range e.blocks[at.File] {
		if line <= at.Line {
			b.line = line
		}
	}
	return b
}

// entry writes a key and its value; in is the block that the reader expects it to come from. value writes the comment, which
// comes at the end of the key's line.
func (e *emitter) entry(pair Pair, indent int, in block) {
	comment := ""
	if here := e.block(pair.Key.Position); here != in {
		in = here
		if at := pair.Key.Position.String(); e.comments && at != "" {
			comment = "  # " + at
		}
	}
	e.out.WriteString(scalar(pair.Key, indent) + ":")
	e.value(pair.Value, indent, in, comment)
}

// value writes what follows a key, up to the end of its last line.
func (e *emitter) value(n *Node, indent int, in block, comment string) {
	switch {
	case n.Is(Mapping) && len(n.Pairs) > 0:
		e.out.WriteString(comment + "\n")
		for _, pair := range n.Pairs {
			e.indent(indent + 2)
			e.entry(pair, indent+2, in)
		}
	case n.Is(Sequence) && len(n.Items) > 0:
		e.out.WriteString(comment + "\n")
		for _, item := range n.Items {
			e.indent(indent + 2)
			e.item(item, indent+2, in)
		}
	default:
		e.out.WriteString(" " + withComment(scalar(n, indent+2), comment) + "\n")
	}
}

// item writes an element of a sequence; a mapping or a sequence begins on the line of the dash.
func (e *emitter) item(n *Node, indent int, in block) {
	e.out.WriteString("-")
	switch {
	case n.Is(Mapping) && len(n.Pairs) > 0:
		for i, pair := range n.Pairs {
			if i == 0 {
				e.out.WriteByte(' ')
			} else {
				e.indent(indent + 2)
			}
			e.entry(pair, indent+2, in)
		}
	case n.Is(Sequence) && len(n.Items) > 0:
		for i, item := range n.Items {
			if i == 0 {
				e.out.WriteByte(' ')
			} else {
				e.indent(indent + 2)
			}
			e.item(item, indent+2, in)
		}
	default:
		comment := ""
		// What the engine adds (.pre and .post) has no place.
		if here := e.block(n.Position); here != in && here.line > 0 && e.comments && n.Position.String() != "" {
			comment = "  # " + n.Position.String()
		}
		e.out.WriteString(" " + withComment(scalar(n, indent+2), comment) + "\n")
	}
}

func (e *emitter) indent(n int) { e.out.WriteString(strings.Repeat(" ", n)) }

// withComment puts a comment at the end of the first line, where a block scalar has its header.
func withComment(text, comment string) string {
	first, rest, more := strings.Cut(text, "\n")
	if !more {
		return first + comment
	}
	return first + comment + "\n" + rest
}

// scalar writes a scalar or an empty collection; the lines of a block scalar are indented.
func scalar(n *Node, indent int) string {
	switch {
	case n.Is(Mapping):
		return "{}"
	case n.Is(Sequence):
		return "[]"
	case n.Is(Reference):
		parts := make([]string, len(n.Items))
		for i, item := range n.Items {
			parts[i] = scalar(item, indent)
		}
		return "!reference [" + strings.Join(parts, ", ") + "]"
	case n.IsNull():
		return "null"
	case !n.Is(String):
		return n.Text
	case literal().MatchString(n.Text) && indent > 0:
		return blockScalar(n.Text, indent)
	case plain().MatchString(n.Text) && !ambiguous().MatchString(n.Text):
		return n.Text
	default:
		return strconv.Quote(n.Text)
	}
}

// blockScalar writes a text of several lines below a "|".
func blockScalar(text string, indent int) string {
	header := "|"
	switch {
	case !strings.HasSuffix(text, "\n"):
		header = "|-"
	case strings.HasSuffix(text, "\n\n"):
		header = "|+"
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = strings.Repeat(" ", indent) + line
		}
	}
	return header + "\n" + strings.Join(lines, "\n")
}

var (
	// literal texts have several lines, the first of which does not begin with a space, and only characters that a block scalar can contain.
	literal = lazyregexp.New(`^[^\s\x00-\x1f\x7f-\x{9f}\x{feff}][^\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{2028}\x{2029}\x{feff}]*\n[^\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{2028}\x{2029}\x{feff}]*$`)
	// plain texts need no quotes; "#" and ":" are left to quotes where they could be read as a comment or a key.
	plain = lazyregexp.New(`^[A-Za-z_./$][A-Za-z0-9_./@+=$,;()<>!?~^%*&|'"\[\]{}\\-]*(([ ]|:)[A-Za-z0-9_./@+=$,;()<>!?~^%*&|'"\[\]{}\\-]+)*$`)
	// ambiguous texts are not strings in YAML 1.1.
	ambiguous = lazyregexp.New(`^(?i:y|n|yes|no|on|off|true|false|null|~|\.inf|\.nan)$|^\.[0-9]|^\.\.\.|^---`)
)
