// Package interpolation replaces blocks like $[[ inputs.name | truncate(0,8) ]] in a configuration.
//
// The rules are GitLab's (https://docs.gitlab.com/ci/inputs/): a block that is a whole value keeps the type of what it
// stands for, inside a longer string it becomes text; keys are interpolated as well.
package interpolation

import (
	"fmt"
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// Limits of one file, as GitLab has them; the size of what comes out is limited as the size of what is read.
const (
	maxBlocks     = 10_000
	maxTextLength = 1 << 20
)

// A Context has what blocks can ask for.
type Context struct {
	// Values is a mapping with the keys "inputs" and "component".
	Values *yamltree.Node
	// Variable returns a CI/CD variable for expand_vars; masked variables cannot be expanded.
	Variable func(name string) (value string, masked, ok bool)
}

// An Error is one block that could not be replaced.
type Error struct {
	Position yamltree.Position
	Message  string
}

func (e *Error) Error() string { return e.Message }

// Apply returns the tree with its blocks replaced, or what is wrong with them.
func Apply(n *yamltree.Node, c Context) (*yamltree.Node, []*Error) {
	t := template{context: c, blocks: make(map[string]result)}
	out := t.node(n)
	if len(t.errors) > 0 {
		return nil, t.errors
	}
	if out.Size() > yamltree.MaxSize {
		return nil, []*Error{{n.Position, fmt.Sprintf("the file is too big with its inputs: more than %d values", yamltree.MaxSize)}}
	}
	return out, nil
}

type template struct {
	context Context
	blocks  map[string]result
	errors  []*Error
	full    bool
}

type result struct {
	value *yamltree.Node
	err   error
}

func (t *template) fail(at yamltree.Position, format string, args ...any) {
	t.errors = append(t.errors, &Error{at, fmt.Sprintf(format, args...)})
}

func (t *template) node(n *yamltree.Node) *yamltree.Node {
	switch n.Kind {
	case yamltree.String:
		return t.text(n)
	case yamltree.Sequence:
		return t.sequence(n)
	case yamltree.Mapping:
		return t.mapping(n)
	}
	return n
}

func (t *template) sequence(n *yamltree.Node) *yamltree.Node {
	var items []*yamltree.Node
	for i, item := range n.Items {
		replaced := t.node(item)
		if replaced != item && items == nil {
			items = append(make([]*yamltree.Node, 0, len(n.Items)), n.Items[:i]...)
		}
		if items != nil {
			items = append(items, replaced)
		}
	}
	if items == nil {
		return n
	}
	return yamltree.NewSequence(items, n.Position)
}

func (t *template) mapping(n *yamltree.Node) *yamltree.Node {
	var pairs []yamltree.Pair
	for i, p := range n.Pairs {
		replaced := yamltree.Pair{Key: t.node(p.Key), Value: t.node(p.Value)}
		if replaced != p && pairs == nil {
			pairs = append(make([]yamltree.Pair, 0, len(n.Pairs)), n.Pairs[:i]...)
		}
		if pairs != nil {
			pairs = append(pairs, replaced)
		}
	}
	if pairs == nil {
		return n
	}
	return yamltree.NewUniqueMapping(pairs, n.Position)
}

func (t *template) text(n *yamltree.Node) *yamltree.Node {
	if !strings.Contains(n.Text, "$[[") || t.full {
		return n
	}
	if len(n.Text) > maxTextLength {
		t.fail(n.Position, "a text with blocks may have %d bytes", maxTextLength)
		return n
	}
	out := n.Text
	for _, b := range blocks(n.Text) {
		r := t.block(b.written, b.content)
		if r.err != nil {
			t.fail(n.Position, "%s: %v", shorten(b.written), r.err)
			return n
		}
		if len(b.written) == len(n.Text) {
			return r.value
		}
		value := r.value.RubyText()
		if strings.Count(out, b.written)*len(value)+len(out) > maxTextLength {
			t.fail(n.Position, "%v", errTextGrows)
			return n
		}
		replaced, err := ReplaceAll(out, b.written, value)
		if err != nil {
			t.fail(n.Position, "%s: %v", shorten(b.written), err)
			return n
		}
		out = replaced
	}
	if out == n.Text {
		return n
	}
	return yamltree.NewString(out, n.Position)
}

func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}

// ReplaceAll puts a value in the place of a block. GitLab does it with Ruby's gsub, which reads a backslash in the value:
// \0 and \& stand for the block, \` for the text before it, \' for the text after it, \1 to \9 and \+ for nothing, and \\
// for one backslash; \k<name> is an error.
func ReplaceAll(s, block, value string) (string, error) {
	if !strings.Contains(value, `\`) {
		return strings.ReplaceAll(s, block, value), nil
	}
	var b strings.Builder
	for at := 0; ; {
		i := strings.Index(s[at:], block)
		if i < 0 {
			b.WriteString(s[at:])
			return b.String(), nil
		}
		b.WriteString(s[at : at+i])
		before, after := s[:at+i], s[at+i+len(block):]
		if err := writeReplacement(&b, value, before, block, after); err != nil {
			return "", err
		}
		at += i + len(block)
		if b.Len() > maxTextLength {
			return "", errTextGrows
		}
	}
}

func writeReplacement(b *strings.Builder, value, before, block, after string) error {
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' || i+1 == len(value) {
			b.WriteByte(value[i])
			continue
		}
		i++
		switch c := value[i]; {
		case c == '0' || c == '&':
			b.WriteString(block)
		case c == '`':
			b.WriteString(before)
		case c == '\'':
			b.WriteString(after)
		case c >= '1' && c <= '9', c == '+':
		case c == '\\':
			b.WriteByte('\\')
		case c == 'k' && i+1 < len(value) && value[i+1] == '<':
			return fmt.Errorf(`GitLab fails on \k< in a value that is put into a longer text`)
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
		if b.Len() > maxTextLength {
			return errTextGrows
		}
	}
	return nil
}

var errTextGrows = fmt.Errorf("the text grows beyond %d bytes", maxTextLength)

func (t *template) block(written, content string) result {
	r, ok := t.blocks[written]
	if ok {
		return r
	}
	if len(t.blocks) >= maxBlocks {
		t.full = true
		return result{err: fmt.Errorf("more than %d different blocks", maxBlocks)}
	}
	r.value, r.err = t.context.evaluate(written, content)
	t.blocks[written] = r
	return r
}
