package pipeline

// Position returns where a keyword of the job is written: Position("artifacts", "paths") is the place of that key in the job, in
// a job that it extends, in `default`, or among the global keywords. If only a part of the path is written, it is the place of
// the last key that is; the zero Position means that the first key is written nowhere.
func (j *Job) Position(keys ...string) Position {
	var best *node
	depth := 0
	for _, tree := range []*node{j.written, j.merged.Get("default"), j.merged} {
		var last *node
		n := 0
		for ; n < len(keys) && tree.Has(keys[n]); n++ {
			last, tree = tree.Key(keys[n]), tree.Get(keys[n])
		}
		if n > depth {
			best, depth = last, n
		}
	}
	if best == nil {
		return Position{}
	}
	return at(best)
}
