package yamltree

import (
	"bytes"
	"strings"

	"go.yaml.in/yaml/v3"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
)

// GitLab reads YAML with libyaml 0.2.5. The full parser here is a port of an older one, which stops at a question mark in a
// plain scalar of a flow collection and does not know an escaped slash in double quotes. Both are hidden from it behind
// characters of the private use area, which mean nothing to it.
const (
	hiddenQuestion = "\uE000"
	hiddenSlash    = "\uE001\uE002" // two, so that columns stay what they are
)

// privateUse finds the characters that hide needs for itself, as they are or as escapes of a text in double quotes.
var privateUse = lazyregexp.New(`[\x{E000}\x{E001}]|(?i)\\u(?:0000)?e00[01]`)

// hide gives the text with what the full parser would misread hidden; ok is false if there is nothing of the kind.
func hide(text []byte) (hidden []byte, ok bool) {
	if !bytes.Contains(text, []byte("?")) && !bytes.Contains(text, []byte(`\/`)) || privateUse().Match(text) {
		return text, false
	}
	hidden = make([]byte, 0, len(text)+64)
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '?' && i > 0 && bytes.IndexByte([]byte(" \t\r\n[{,:"), text[i-1]) < 0:
			hidden, ok = append(hidden, hiddenQuestion...), true
		case c == '\\' && i+1 < len(text) && text[i+1] == '/':
			hidden, ok = append(hidden, hiddenSlash...), true
			i++
		case c == '\\' && i+1 < len(text) && text[i+1] == '\\':
			hidden = append(hidden, c, c)
			i++
		default:
			hidden = append(hidden, c)
		}
	}
	return hidden, ok
}

// reveal undoes hide in a document.
func reveal(n *yaml.Node) {
	slash := `\/`
	if n.Style&yaml.DoubleQuotedStyle != 0 {
		slash = "/"
	}
	for _, text := range []*string{&n.Value, &n.Tag, &n.Anchor, &n.HeadComment, &n.LineComment, &n.FootComment} {
		if strings.Contains(*text, "\uE000") || strings.Contains(*text, "\uE001") {
			*text = strings.NewReplacer(hiddenQuestion, "?", hiddenSlash, slash).Replace(*text)
		}
	}
	for _, child := range n.Content {
		reveal(child)
	}
}

// misplacedColon says whether n is a plain scalar of a flow collection that ends in a colon: the bracket or comma behind the
// colon is an error to libyaml, but not to the full parser.
func misplacedColon(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Style&^yaml.TaggedStyle == 0 && strings.HasSuffix(n.Value, ":")
}
