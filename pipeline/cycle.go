package pipeline

import "slices"

// findCycle returns the nodes of a cycle in a graph, nil if there is none. It does not recurse, so the graph may be deep.
func findCycle[T comparable](nodes []T, next func(T) []T) []T {
	const (
		onPath = 1
		done   = 2
	)
	type step struct {
		name  T
		edges []T
	}
	state := make(map[T]int, len(nodes))
	for _, start := range nodes {
		if state[start] != 0 {
			continue
		}
		state[start] = onPath
		path := []step{{start, next(start)}}
		for len(path) > 0 {
			top := &path[len(path)-1]
			if len(top.edges) == 0 {
				state[top.name] = done
				path = path[:len(path)-1]
				continue
			}
			to := top.edges[0]
			top.edges = top.edges[1:]
			switch state[to] {
			case onPath:
				from := slices.IndexFunc(path, func(s step) bool { return s.name == to })
				var cycle []T
				for _, s := range path[from:] {
					cycle = append(cycle, s.name)
				}
				return cycle
			case 0:
				state[to] = onPath
				path = append(path, step{to, next(to)})
			}
		}
	}
	return nil
}
