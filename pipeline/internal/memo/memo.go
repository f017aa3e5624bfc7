// Package memo keeps the results of computations.
package memo

import "sync"

// A Memo keeps one value per key. The zero Memo is empty and ready; it is safe for concurrent use.
type Memo[K comparable, V any] struct {
	mu     sync.Mutex
	values map[K]V
}

// Get returns the value of a key, which it computes at the first use. If several goroutines compute it, the first result stays.
func (m *Memo[K, V]) Get(key K, compute func() V) V {
	m.mu.Lock()
	v, ok := m.values[key]
	m.mu.Unlock()
	if ok {
		return v
	}
	computed := compute()
	m.mu.Lock()
	defer m.mu.Unlock()
	if v, ok = m.values[key]; ok {
		return v
	}
	if m.values == nil {
		m.values = make(map[K]V)
	}
	m.values[key] = computed
	return computed
}
