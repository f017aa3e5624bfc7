package yamltree

import (
	"fmt"
	"strings"
)

// Describe names a value for a message: "the string 3", "an array".
func Describe(n *Node) string {
	if n == nil {
		return "nothing"
	}
	switch n.Kind {
	case Null:
		return "nothing"
	case Mapping:
		return "a hash"
	case Sequence:
		return "an array"
	case Reference:
		return "a !reference"
	case String:
		if n.Symbol {
			return fmt.Sprintf("the symbol :%s", Shorten(n.Text))
		}
		return fmt.Sprintf("the string %q", Shorten(n.Text))
	}
	return fmt.Sprintf("the %s %s", n.Kind, Shorten(n.Text))
}

// Shorten cuts a text for a message.
func Shorten(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
