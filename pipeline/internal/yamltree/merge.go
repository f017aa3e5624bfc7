package yamltree

// Merge lays over upon base: mappings are merged key by key, everything else is replaced. The order is that of base, then
// of the keys that are new.
func Merge(base, over *Node) *Node {
	if !base.Is(Mapping) || !over.Is(Mapping) {
		return over
	}
	if len(base.Pairs) == 0 {
		return over
	}
	if len(over.Pairs) == 0 {
		return base
	}
	pairs := make([]Pair, len(base.Pairs), len(base.Pairs)+len(over.Pairs))
	copy(pairs, base.Pairs)
	for _, p := range over.Pairs {
		if i := base.find(p.Key.Text); i >= 0 {
			pairs[i] = Pair{Key: p.Key, Value: Merge(base.Pairs[i].Value, p.Value)}
		} else {
			pairs = append(pairs, p)
		}
	}
	return NewMapping(pairs, over.Position)
}

// Without returns a mapping without a key.
func Without(n *Node, key string) *Node {
	i := n.find(key)
	if i < 0 {
		return n
	}
	pairs := make([]Pair, 0, len(n.Pairs)-1)
	pairs = append(pairs, n.Pairs[:i]...)
	pairs = append(pairs, n.Pairs[i+1:]...)
	return NewMapping(pairs, n.Position)
}

// With returns a mapping in which a key has another value; a new key comes last.
func With(n *Node, key string, value *Node) *Node {
	pairs := make([]Pair, len(n.Pairs), len(n.Pairs)+1)
	copy(pairs, n.Pairs)
	if i := n.find(key); i >= 0 {
		pairs[i].Value = value
	} else {
		pairs = append(pairs, Pair{Key: NewString(key, value.Position), Value: value})
	}
	return NewMapping(pairs, n.Position)
}

// NewUniqueMapping makes a mapping of pairs whose keys may repeat; of those the last value stays, at the first place.
func NewUniqueMapping(pairs []Pair, at Position) *Node {
	b := builder{pairs: make([]Pair, 0, len(pairs))}
	for _, p := range pairs {
		b.set(p)
	}
	return NewMapping(b.pairs, at)
}
