package yamltree

import (
	"fmt"
	"strings"
	"unicode"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

// inspect writes a value as Ruby's inspect does, before Ruby 3.4. The keys of mappings are symbols there, but for those that are not
// strings.
func (n *Node) inspect(b *strings.Builder) {
	switch n.Kind {
	case Null:
		b.WriteString("nil")
	case String:
		if n.Symbol {
			inspectSymbol(b, n.Text)
		} else {
			inspectString(b, n.Text)
		}
	case Sequence, Reference:
		b.WriteByte('[')
		for i, item := range n.Items {
			if i > 0 {
				b.WriteString(", ")
			}
			item.inspect(b)
		}
		b.WriteByte(']')
	case Mapping:
		b.WriteByte('{')
		for i, p := range n.Pairs {
			if i > 0 {
				b.WriteString(", ")
			}
			if p.Key.Kind == String {
				inspectSymbol(b, p.Key.Text)
			} else {
				p.Key.inspect(b)
			}
			b.WriteString("=>")
			p.Value.inspect(b)
		}
		b.WriteByte('}')
	default:
		b.WriteString(n.Text)
	}
}

// plainSymbol are the names that Ruby writes as a symbol without quotes: identifiers, those of variables, and operators.
var plainSymbol = lazyregexp.New(`^(@@?|\$)?[A-Za-z_\x{80}-\x{10FFFF}][0-9A-Za-z_\x{80}-\x{10FFFF}]*$|` +
	`^[A-Za-z_\x{80}-\x{10FFFF}][0-9A-Za-z_\x{80}-\x{10FFFF}]*[?!=]$|` +
	`^\$([0-9]+|-?[0-9A-Za-z_]|[~*$?!@/\\;,.=:<>"&\x60'+])$|` +
	`^(\[\]=?|!|!=|!~|%|&|\*\*?|[+-]@?|/|<|<<|<=|<=>|===?|=~|>|>=|>>|\^|\||~|\x60)$`)

func inspectSymbol(b *strings.Builder, name string) {
	b.WriteByte(':')
	if plainSymbol().MatchString(name) {
		b.WriteString(name)
		return
	}
	inspectString(b, name)
}

var inspectEscapes = map[rune]string{
	'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\f': `\f`, '\v': `\v`, '\b': `\b`, '\a': `\a`, 0x1b: `\e`,
}

// inspectString writes a string as a literal of Ruby, in which #{, #$ and #@ would begin an interpolation.
func inspectString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i, r := range s {
		escape, known := inspectEscapes[r]
		switch {
		case known:
			b.WriteString(escape)
		case r == '#' && i+1 < len(s) && strings.IndexByte("{$@", s[i+1]) >= 0:
			b.WriteString(`\#`)
		case r == 0x85 || unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Zs, unicode.Cf, unicode.Co):
			b.WriteRune(r)
		case r <= 0xFFFF:
			fmt.Fprintf(b, `\u%04X`, r)
		default:
			fmt.Fprintf(b, `\u{%X}`, r)
		}
	}
	b.WriteByte('"')
}
