package pipeline

import (
	"strings"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// String returns "file:line", as far as they are known.
func (p Position) String() string { return yamltree.Position(p).String() }

// Position returns where a keyword of the job is written: Position("artifacts", "paths") is the place of that key in the job, in
// a job that it extends, in `default`, or among the global keywords. If only a part of the path is written, it is the place of
// the last key that is; the zero Position means that the first key is not written at all.
func (j *Job) Position(keys ...string) Position {
	for n := len(keys); n > 0; n-- {
		if at, ok := j.Keywords[strings.Join(keys[:n], ":")]; ok {
			return at
		}
	}
	return Position{}
}

// Bounds of what keywordPositions returns: levels of keys, and places per job.
const (
	maxKeywordLevels    = 4
	maxKeywordPositions = 1000
)

// keywordPositions returns the places of the keywords of a job in the merged configuration tree, by key path. What a job says
// itself comes before `default`, and that before the global keywords.
func keywordPositions(tree, job *node) map[string]Position {
	found := make(map[string]Position, len(job.Pairs))
	var add func(prefix string, n *node, levels int)
	add = func(prefix string, n *node, levels int) {
		if n == nil || levels == 0 {
			return
		}
		for _, pair := range n.Pairs {
			if len(found) == maxKeywordPositions {
				return
			}
			path := prefix + pair.Key.Text
			if _, ok := found[path]; !ok {
				found[path] = at(pair.Key)
			}
			add(path+":", pair.Value, levels-1)
		}
	}
	add("", job, maxKeywordLevels)
	add("", tree.Get("default"), maxKeywordLevels)
	for _, key := range append([]string{"variables"}, keywordNames[atTop]...) {
		if tree.Has(key) {
			add("", yamltree.NewMapping([]yamltree.Pair{{Key: tree.Key(key), Value: tree.Get(key)}}, tree.Position), maxKeywordLevels)
		}
	}
	return found
}
