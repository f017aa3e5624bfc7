package render

import (
	"bufio"
	"io"
	"slices"
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// YAML writes a merged configuration as YAML that compiles to the same. With comments, "# ci/lint.yml:12" names where each
// job, and each part of a job that comes from elsewhere, was written.
func YAML(w io.Writer, config *pipeline.Config, comments bool) error {
	e := &emitter{out: bufio.NewWriter(w), blocks: blocks(config.Root)}
	for i, pair := range config.Root.Pairs {
		if i > 0 {
			e.out.WriteByte('\n')
		}
		e.comments = comments
		if at := place(pair.Key.Position); comments && at != "" {
			e.out.WriteString("# " + at + "\n")
		}
		e.entry(pair, 0, e.block(pair.Key.Position), false)
	}
	if len(config.Root.Pairs) == 0 {
		e.out.WriteString("{}\n")
	}
	return e.out.Flush()
}

func place(p yamltree.Position) string {
	return Place(pipeline.Position{File: p.File, Line: p.Line})
}

// An emitter writes nodes in block style.
type emitter struct {
	out      *bufio.Writer
	comments bool
	// blocks are the lines at which top-level keys stand, by file, sorted: a part belongs to the last one before it.
	blocks map[string][]int
}

// blocks finds where the top-level keys of each file stand. Keys that another file has overwritten are not seen, so a
// comment too many is possible, but none is missing.
func blocks(root *pipeline.Node) map[string][]int {
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

// A block is the top-level part of a file that holds a place.
type block struct {
	file string
	line int
}

func (e *emitter) block(at yamltree.Position) block {
	b := block{file: at.File}
	for _, line := range e.blocks[at.File] {
		if line <= at.Line {
			b.line = line
		}
	}
	return b
}

// entry writes a key and its value; in is the block that the reader knows to be in. The comment is told to the value, since
// it stands at the end of the key's line.
func (e *emitter) entry(pair yamltree.Pair, indent int, in block, told bool) {
	comment := ""
	if here := e.block(pair.Key.Position); here != in {
		in = here
		if at := place(pair.Key.Position); e.comments && !told && at != "" {
			comment = "  # " + at
		}
	}
	e.out.WriteString(scalar(pair.Key, indent) + ":")
	e.value(pair.Value, indent, in, comment)
}

// value writes what stands after a key, up to the end of its last line.
func (e *emitter) value(n *pipeline.Node, indent int, in block, comment string) {
	switch {
	case n.Is(yamltree.Mapping) && len(n.Pairs) > 0:
		e.out.WriteString(comment + "\n")
		for _, pair := range n.Pairs {
			e.indent(indent + 2)
			e.entry(pair, indent+2, in, false)
		}
	case n.Is(yamltree.Sequence) && len(n.Items) > 0:
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
func (e *emitter) item(n *pipeline.Node, indent int, in block) {
	e.out.WriteString("-")
	switch {
	case n.Is(yamltree.Mapping) && len(n.Pairs) > 0:
		for i, pair := range n.Pairs {
			if i == 0 {
				e.out.WriteByte(' ')
			} else {
				e.indent(indent + 2)
			}
			e.entry(pair, indent+2, in, false)
		}
	case n.Is(yamltree.Sequence) && len(n.Items) > 0:
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
		// What the engine adds (.pre and .post) stands at no key.
		if here := e.block(n.Position); here != in && here.line > 0 && e.comments && place(n.Position) != "" {
			comment = "  # " + place(n.Position)
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
func scalar(n *pipeline.Node, indent int) string {
	switch {
	case n.Is(yamltree.Mapping):
		return "{}"
	case n.Is(yamltree.Sequence):
		return "[]"
	case n.Is(yamltree.Reference):
		parts := make([]string, len(n.Items))
		for i, item := range n.Items {
			parts[i] = scalar(item, indent)
		}
		return "!reference [" + strings.Join(parts, ", ") + "]"
	case n.IsNull():
		return "null"
	case !n.Is(yamltree.String):
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
	// literal texts have several lines, the first of which begins with no space, and nothing that a block scalar cannot hold.
	literal = lazyregexp.New(`^[^\s\x00-\x1f\x7f-\x{9f}\x{feff}][^\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{2028}\x{2029}\x{feff}]*\n[^\x00-\x08\x0b-\x1f\x7f-\x{9f}\x{2028}\x{2029}\x{feff}]*$`)
	// plain texts need no quotes; "#" and ":" are left to quotes where they could be read as a comment or a key.
	plain = lazyregexp.New(`^[A-Za-z_./$][A-Za-z0-9_./@+=$,;()<>!?~^%*&|'"\[\]{}\\-]*(([ ]|:)[A-Za-z0-9_./@+=$,;()<>!?~^%*&|'"\[\]{}\\-]+)*$`)
	// ambiguous texts are something else than text in YAML 1.1.
	ambiguous = lazyregexp.New(`^(?i:y|n|yes|no|on|off|true|false|null|~|\.inf|\.nan)$|^\.[0-9]|^\.\.\.|^---`)
)
