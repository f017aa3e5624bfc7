package yamltree

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"sort"
	"strconv"
	"strings"
)

// FromAny makes a node of a Go value: nil, bool, numbers, string, slices and maps of such, or a *Node.
// The keys of maps, which have no order, are sorted.
func FromAny(v any, at Position) (*Node, error) {
	switch v := v.(type) {
	case nil:
		return NewScalar(Null, "", at), nil
	case *Node:
		return v, nil
	case bool:
		return NewScalar(Bool, strconv.FormatBool(v), at), nil
	case int:
		return NewScalar(Int, strconv.Itoa(v), at), nil
	case int64:
		return NewScalar(Int, strconv.FormatInt(v, 10), at), nil
	case float64:
		return NewScalar(Float, FormatFloat(v), at), nil
	case json.Number:
		return fromNumber(v, at), nil
	case string:
		return NewString(v, at), nil
	case []string:
		items := make([]*Node, len(v))
		for i, s := range v {
			items[i] = NewString(s, at)
		}
		return NewSequence(items, at), nil
	case []any:
		items := make([]*Node, len(v))
		for i := range v {
			item, err := FromAny(v[i], at)
			if err != nil {
				return nil, err
			}
			items[i] = item
		}
		return NewSequence(items, at), nil
	case map[string]any:
		return fromMap(v, at)
	}
	return nil, fmt.Errorf("a value of the type %T cannot be an input", v)
}

func fromNumber(v json.Number, at Position) *Node {
	if n, ok := new(big.Int).SetString(v.String(), 10); ok {
		return NewScalar(Int, n.String(), at)
	}
	f, _ := v.Float64()
	return NewScalar(Float, FormatFloat(f), at)
}

func fromMap(m map[string]any, at Position) (*Node, error) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	pairs := make([]Pair, len(keys))
	for i, k := range keys {
		value, err := FromAny(m[k], at)
		if err != nil {
			return nil, err
		}
		pairs[i] = Pair{NewString(k, at), value}
	}
	return NewMapping(pairs, at), nil
}

// Any returns a node as plain Go values: nil, bool, int, float64, string, []any and map[string]any. What it returns equals what
// encoding/json makes of its JSON, but for ints.
func (n *Node) Any() any {
	if n == nil {
		return nil
	}
	switch n.Kind {
	case Bool:
		return n.Text == "true"
	case Int:
		if v, err := strconv.Atoi(n.Text); err == nil {
			return v
		}
		return n.number()
	case Float:
		return plainFloat(n)
	case String:
		return n.Text
	case Sequence, Reference:
		items := make([]any, len(n.Items))
		for i, item := range n.Items {
			items[i] = item.Any()
		}
		return items
	case Mapping:
		m := make(map[string]any, len(n.Pairs))
		for _, p := range n.Pairs {
			m[p.Key.Text] = p.Value.Any()
		}
		return m
	}
	return nil
}

// plainFloat returns a float as JSON can hold it: an int if it is one, and a text for infinities and NaN.
func plainFloat(n *Node) any {
	f := n.number()
	switch {
	case math.IsInf(f, 0) || math.IsNaN(f):
		return n.Text
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return int(f)
	}
	return f
}

func (n *Node) number() float64 {
	switch n.Text {
	case "Infinity":
		return math.Inf(1)
	case "-Infinity":
		return math.Inf(-1)
	}
	f, err := strconv.ParseFloat(n.Text, 64)
	if err != nil {
		return math.NaN()
	}
	return f
}

// Equal reports whether two trees hold the same values; numbers are compared as numbers, positions not at all.
func Equal(a, b *Node) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil {
		return false
	}
	if a.Kind != b.Kind {
		numeric := (a.Kind == Int || a.Kind == Float) && (b.Kind == Int || b.Kind == Float)
		return numeric && a.number() == b.number()
	}
	switch a.Kind {
	case Sequence, Reference:
		if len(a.Items) != len(b.Items) {
			return false
		}
		for i := range a.Items {
			if !Equal(a.Items[i], b.Items[i]) {
				return false
			}
		}
		return true
	case Mapping:
		if len(a.Pairs) != len(b.Pairs) {
			return false
		}
		for _, p := range a.Pairs {
			if !b.Has(p.Key.Text) || !Equal(p.Value, b.Get(p.Key.Text)) {
				return false
			}
		}
		return true
	}
	return a.Text == b.Text
}

// RubyText is the result of Ruby's to_s for a value that is put into a longer string: text for scalars, a literal for lists.
func (n *Node) RubyText() string {
	if n == nil {
		return ""
	}
	if n.Kind == Sequence || n.Kind == Mapping {
		var b strings.Builder
		n.inspect(&b)
		return b.String()
	}
	return n.Text
}
