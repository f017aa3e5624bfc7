// Package yamltree reads YAML as GitLab does and keeps it as an ordered, immutable tree in which every node knows its
// place in a file.
//
// GitLab reads its configuration with Ruby's Psych in safe mode, which follows YAML 1.1: "yes", "no", "on" and "off" are
// booleans, "0755" is octal, "1:30" is sexagesimal, of duplicate keys the last one wins, a merge key overwrites the keys
// before it, and a date is refused.
package yamltree

import "strconv"

// Kind says what a [Node] is.
type Kind uint8

// The kinds of nodes.
const (
	Null Kind = iota
	Bool
	Int
	Float
	String
	Sequence
	Mapping
	// Reference is GitLab's !reference [job, key]; its Items are the path.
	Reference
)

var kindNames = [...]string{"null", "boolean", "integer", "float", "string", "array", "hash", "!reference"}

func (k Kind) String() string { return kindNames[k] }

// A Position is a place in a file; Line and Column are 1-based, zero if unknown.
type Position struct {
	File         string
	Line, Column int
}

// String returns "file:line", as far as they are known.
func (p Position) String() string {
	if p.File == "" || p.Line == 0 {
		return p.File
	}
	return p.File + ":" + strconv.Itoa(p.Line)
}

// A Node is one value. Nodes are shared between trees (by aliases and merges), so they must not be changed.
type Node struct {
	Kind Kind
	// Text is the text of a scalar as Ruby's to_s writes it: "true", "16" for 0x10, "" for null.
	Text string
	// Symbol reports that a string is one of Ruby's symbols, ":name": GitLab takes it for a string in some places only.
	Symbol bool
	// Items are the elements of a sequence.
	Items []*Node
	// Pairs are the entries of a mapping in their order; keys are unique by their text.
	Pairs    []Pair
	Position Position

	index map[string]int
	size  int
	depth int
}

// A Pair is an entry of a mapping.
type Pair struct {
	Key   *Node
	Value *Node
}

// indexFrom is the number of entries from which a lookup in a map is faster than a walk.
const indexFrom = 9

// NewScalar makes a scalar.
func NewScalar(kind Kind, text string, at Position) *Node {
	return &Node{Kind: kind, Text: text, Position: at, size: 1, depth: 1}
}

// NewString makes a string.
func NewString(text string, at Position) *Node { return NewScalar(String, text, at) }

// NewSequence makes a sequence of the items.
func NewSequence(items []*Node, at Position) *Node { return newList(Sequence, items, at) }

func newList(kind Kind, items []*Node, at Position) *Node {
	n := &Node{Kind: kind, Items: items, Position: at, size: 1, depth: 1}
	for _, item := range items {
		n.grow(item)
	}
	return n
}

// NewMapping makes a mapping of pairs whose keys are unique.
func NewMapping(pairs []Pair, at Position) *Node {
	n := &Node{Kind: Mapping, Pairs: pairs, Position: at, size: 1, depth: 1}
	for _, p := range pairs {
		n.grow(p.Value)
	}
	if len(pairs) >= indexFrom {
		n.index = make(map[string]int, len(pairs))
		for i, p := range pairs {
			n.index[p.Key.Text] = i
		}
	}
	return n
}

// sizeCap keeps sums of sizes, which grow exponentially with nested aliases, from overflowing.
const sizeCap = 1 << 40

func (n *Node) grow(child *Node) {
	n.size = min(n.size+child.size, sizeCap)
	n.depth = max(n.depth, child.depth+1)
}

// Size is the number of nodes below and with n, each alias counted as what it stands for.
func (n *Node) Size() int { return n.size }

// Depth is the number of levels of n; 1 for a scalar.
func (n *Node) Depth() int { return n.depth }

// Is reports whether n exists and is of a kind. It is safe on nil.
func (n *Node) Is(kind Kind) bool { return n != nil && n.Kind == kind }

// IsNull reports whether n is missing or null.
func (n *Node) IsNull() bool { return n == nil || n.Kind == Null }

// IsScalar reports whether n is a boolean, a number or a string.
func (n *Node) IsScalar() bool {
	return n != nil && (n.Kind == Bool || n.Kind == Int || n.Kind == Float || n.Kind == String)
}

// IsBlank is Rails' blank?: missing, null, false, an empty or white string, an empty collection.
func (n *Node) IsBlank() bool {
	if n == nil {
		return true
	}
	switch n.Kind {
	case Null:
		return true
	case Bool:
		return n.Text == "false"
	case String:
		return isWhite(n.Text)
	case Sequence:
		return len(n.Items) == 0
	case Mapping:
		return len(n.Pairs) == 0
	}
	return false
}

func isWhite(s string) bool {
	for _, r := range s {
		switch r {
		case ' ', '\t', '\n', '\v', '\f', '\r', 0x85, 0xA0:
		default:
			return false
		}
	}
	return true
}

// Get returns the value of a mapping's key; nil if n is not a mapping or has no such key.
func (n *Node) Get(key string) *Node {
	if i := n.find(key); i >= 0 {
		return n.Pairs[i].Value
	}
	return nil
}

// Has reports whether a mapping has a key, be its value null.
func (n *Node) Has(key string) bool { return n.find(key) >= 0 }

// Key returns the node of a mapping's key, for its position; nil if there is none.
func (n *Node) Key(key string) *Node {
	if i := n.find(key); i >= 0 {
		return n.Pairs[i].Key
	}
	return nil
}

func (n *Node) find(key string) int {
	if n == nil || n.Kind != Mapping {
		return -1
	}
	if n.index != nil {
		if i, ok := n.index[key]; ok {
			return i
		}
		return -1
	}
	for i := range n.Pairs {
		if n.Pairs[i].Key.Text == key {
			return i
		}
	}
	return -1
}

// Integer returns the value of an integer; ok is false for other kinds and for numbers beyond 64 bits.
func (n *Node) Integer() (value int, ok bool) {
	if !n.Is(Int) {
		return 0, false
	}
	v, err := strconv.Atoi(n.Text)
	return v, err == nil
}

// True reports whether n is the boolean true.
func (n *Node) True() bool { return n.Is(Bool) && n.Text == "true" }

// Strings returns the texts of a sequence's items.
func (n *Node) Strings() []string {
	if n == nil {
		return nil
	}
	texts := make([]string, len(n.Items))
	for i, item := range n.Items {
		texts[i] = item.Text
	}
	return texts
}

// Flatten returns the items of nested sequences in one list; a value that is not a sequence is a list of one.
func (n *Node) Flatten() []*Node {
	if n == nil {
		return nil
	}
	if n.Kind != Sequence {
		return []*Node{n}
	}
	items := make([]*Node, 0, len(n.Items))
	for _, item := range n.Items {
		if item.Kind == Sequence {
			items = append(items, item.Flatten()...)
		} else {
			items = append(items, item)
		}
	}
	return items
}
