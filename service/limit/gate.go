package limit

import "sync/atomic"

// Gate limits how many requests run concurrently.
type Gate struct {
	limit, inside atomic.Int64
}

// NewGate returns a gate for limit concurrent requests.
func NewGate(limit int) *Gate {
	g := new(Gate)
	g.SetLimit(limit)
	return g
}

// SetLimit changes the limit; running requests are not affected.
func (g *Gate) SetLimit(limit int) { g.limit.Store(int64(limit)) }

// Enter reports whether a request may run; if so, call Leave when it is done.
func (g *Gate) Enter() bool {
	if g.inside.Add(1) > g.limit.Load() {
		g.inside.Add(-1)
		return false
	}
	return true
}

// Leave must follow a successful Enter.
func (g *Gate) Leave() { g.inside.Add(-1) }

// Inside returns the number of running requests.
func (g *Gate) Inside() int { return int(g.inside.Load()) }
