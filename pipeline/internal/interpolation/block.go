package interpolation

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/variable"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

const (
	maxFunctions   = 3
	maxAccessBytes = 1024
	maxAccessParts = 5
	maxIndices     = 5
)

// A block is one $[[ ]] of a text, as it is written and what stands inside.
type block struct{ written, content string }

const whiteSpace = " \t\n\v\f\r"

// blocks finds the blocks of a text: what matches \$\[\[\s*(\S.*?\S)\s*\]\], at most maxBlocks. The time it takes grows
// with the length of the text only, whatever is in it.
func blocks(text string) []block {
	var found []block
	closing, newline := finder{text: text, what: "]]"}, finder{text: text, what: "\n"}
	for at := 0; len(found) < maxBlocks; {
		start := strings.Index(text[at:], "$[[")
		if start < 0 {
			break
		}
		start += at
		at = start + 3
		from := len(text) - len(strings.TrimLeft(text[at:], whiteSpace))
		end := closing.next(from)
		content := ""
		// A content of one character has its end in the brackets that follow: "$[[ a]]]" holds "a]".
		for end >= 0 && !isLong(content) {
			content = strings.TrimRight(text[from:end], whiteSpace)
			if !isLong(content) {
				end = closing.next(end + 1)
			}
		}
		if end < 0 {
			break
		}
		if n := newline.next(from); n >= 0 && n < from+len(content) {
			continue
		}
		found = append(found, block{text[start : end+2], content})
		at = end + 2
	}
	return found
}

// isLong reports whether a text has two characters or more.
func isLong(s string) bool {
	_, first := utf8.DecodeRuneInString(s)
	return len(s) > first
}

// A finder looks for a text at places that only grow, and remembers what it has found.
type finder struct {
	text, what string
	found      int
	searched   bool
}

// next returns the first place at or behind from; -1 if there is none.
func (f *finder) next(from int) int {
	if f.searched && (f.found < 0 || f.found >= from) {
		return f.found
	}
	f.searched = true
	f.found = strings.Index(f.text[min(from, len(f.text)):], f.what)
	if f.found >= 0 {
		f.found += from
	}
	return f.found
}

// evaluate returns the value of "inputs.name[0] | function | function". Blocks of the matrix are left as they are: they are
// replaced when the jobs of a matrix are made.
func (c Context) evaluate(written, content string) (*yamltree.Node, error) {
	parts := strings.Split(strings.TrimRight(content, "|"), "|") // Ruby's split drops the empty parts at the end
	access := strings.TrimSpace(parts[0])
	if access == "matrix" || strings.HasPrefix(access, "matrix.") {
		return yamltree.NewString(written, yamltree.Position{}), nil
	}
	v, err := c.access(access)
	if err != nil {
		return nil, err
	}
	if len(parts)-1 > maxFunctions {
		return nil, fmt.Errorf("more than %d functions", maxFunctions)
	}
	functions := make([]function, len(parts)-1)
	for i, call := range parts[1:] {
		if functions[i], err = c.function(strings.TrimSpace(call)); err != nil {
			return nil, err
		}
	}
	for _, f := range functions {
		if !v.Is(yamltree.String) {
			return nil, errors.New("functions take strings only")
		}
		text, err := f(v.Text)
		if err != nil {
			return nil, err
		}
		v = yamltree.NewString(text, v.Position)
	}
	return v, nil
}

var errAccess = errors.New("write $[[ inputs.name ]]")

func (c Context) access(path string) (*yamltree.Node, error) {
	if len(path) > maxAccessBytes {
		return nil, fmt.Errorf("longer than %d bytes", maxAccessBytes)
	}
	segments := strings.SplitN(path, ".", maxAccessParts)
	if len(segments) < 2 {
		return nil, errAccess
	}
	v := c.Values
	for _, segment := range segments {
		key, indices, err := splitIndices(segment)
		if err != nil {
			return nil, err
		}
		if !v.Has(key) {
			return nil, fmt.Errorf("%s is not declared", strings.Join(segments, "."))
		}
		v = v.Get(key)
		for _, i := range indices {
			if !v.Is(yamltree.Sequence) {
				return nil, fmt.Errorf("%s is not an array", key)
			}
			if i >= len(v.Items) {
				return nil, fmt.Errorf("%s has %d items, there is no [%d]", key, len(v.Items), i)
			}
			v = v.Items[i]
		}
	}
	return v, nil
}

// splitIndices reads "name[0][1]".
func splitIndices(segment string) (key string, indices []int, err error) {
	key, rest, indexed := strings.Cut(segment, "[")
	if !indexed {
		return segment, nil, nil
	}
	wrong := fmt.Errorf("%s is not a valid index: write name[0]", segment)
	if key == "" || strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
		return "", nil, wrong
	}
	for rest = "[" + rest; rest != ""; {
		end := strings.IndexByte(rest, ']')
		if rest[0] != '[' || end < 2 || len(indices) == maxIndices {
			return "", nil, wrong
		}
		n, err := strconv.ParseUint(rest[1:end], 10, 31)
		if err != nil {
			return "", nil, wrong
		}
		indices = append(indices, int(n))
		rest = rest[end+1:]
	}
	return key, indices, nil
}

type function func(string) (string, error)

// GitLab takes a call without the closing parenthesis.
var truncateCall = lazyregexp.New(`^truncate\(\s*(\d+)\s*,\s*(\d+)\s*\)?$`)

func (c Context) function(call string) (function, error) {
	switch call {
	case "expand_vars":
		return c.expandVariables, nil
	case "posix_escape":
		return posixEscape, nil
	}
	if m := truncateCall().FindStringSubmatch(call); m != nil {
		return truncate(m[1], m[2]), nil
	}
	name, _, _ := strings.Cut(call, "(")
	if name == "truncate" {
		return nil, errors.New("write truncate(offset,length) with two numbers")
	}
	return nil, fmt.Errorf("there is no function %q (there are expand_vars, truncate(offset,length) and posix_escape)", call)
}

func truncate(offset, length string) function {
	return func(s string) (string, error) {
		runes := []rune(s)
		from := clamp(offset, len(runes))
		return string(runes[from : from+clamp(length, len(runes)-from)]), nil
	}
}

// clamp reads a number of digits; one beyond limit, or too long to read, is limit.
func clamp(digits string, limit int) int {
	n, err := strconv.Atoi(digits)
	if err != nil {
		return limit
	}
	return min(n, limit)
}

func (c Context) expandVariables(s string) (string, error) {
	if c.Variable == nil {
		return s, nil
	}
	var failed error
	out := variable.Replace(s, false, func(name, written string) string {
		v, masked, ok := c.Variable(name)
		if masked {
			failed = fmt.Errorf("the variable %s is masked and cannot be expanded", name)
		}
		if !ok {
			return written
		}
		return v
	})
	if len(out) > variable.MaxExpanded {
		return "", fmt.Errorf("more than %d bytes when its variables are expanded", variable.MaxExpanded)
	}
	return out, failed
}

// posixEscape quotes a word as Ruby's Shellwords does: a backslash before all but the plainest characters.
func posixEscape(s string) (string, error) {
	if s == "" {
		return "''", nil
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n':
			b.WriteString("'\n'")
			continue
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune("_-.,:+/@", r):
		default:
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String(), nil
}
