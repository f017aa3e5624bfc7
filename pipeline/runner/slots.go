package runner

import (
	"slices"
	"sync"
)

// slots are the jobs that may run at once. Those that wait get a slot in the order in which they asked for it.
type slots struct {
	mu      sync.Mutex
	free    int
	waiting []chan struct{}
}

// ask returns a channel that is closed when the caller has a slot, which it must release.
func (s *slots) ask() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	turn := make(chan struct{})
	if s.free > 0 {
		s.free--
		close(turn)
	} else {
		s.waiting = append(s.waiting, turn)
	}
	return turn
}

// release gives the slot of a turn to the next one; a turn that has not come is given up.
func (s *slots) release(turn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, turn); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		return
	}
	if len(s.waiting) == 0 {
		s.free++
		return
	}
	close(s.waiting[0])
	s.waiting = s.waiting[1:]
}
