// Package limit keeps the service alive under more load than it can bear.
package limit

import (
	"container/list"
	"sync"
	"time"
)

// maxClients bounds the memory of a limiter: about 150 bytes each. When there are more, the one that was idle the longest
// is forgotten and starts with a full bucket.
const maxClients = 10_000

// Limiter gives each client a bucket of tokens that fills at a rate.
type Limiter struct {
	rate  float64 // tokens per second; 0 is no limit
	burst float64
	now   func() time.Time

	mu      sync.Mutex
	clients map[string]*list.Element // of *bucket
	recent  *list.List               // the client that called last is first
}

type bucket struct {
	client string
	tokens float64
	filled time.Time
}

// NewLimiter allows each client rate requests per second and burst at once; a rate of 0 is no limit.
func NewLimiter(rate float64, burst int, now func() time.Time) *Limiter {
	return &Limiter{rate: rate, burst: float64(burst), now: now, clients: map[string]*list.Element{}, recent: list.New()}
}

// Is reports whether the limiter has this rate and burst.
func (l *Limiter) Is(rate float64, burst int) bool {
	return l.rate == rate && l.burst == float64(burst)
}

// Allow takes a token of the client's; without one it returns how long to wait for it.
func (l *Limiter) Allow(client string) (wait time.Duration, ok bool) {
	if l.rate == 0 {
		return 0, true
	}
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bucket(client, now)
	b.tokens = min(l.burst, b.tokens+now.Sub(b.filled).Seconds()*l.rate)
	b.filled = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / l.rate * float64(time.Second)), false
	}
	b.tokens--
	return 0, true
}

func (l *Limiter) bucket(client string, now time.Time) *bucket {
	if e, ok := l.clients[client]; ok {
		l.recent.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if len(l.clients) == maxClients {
		oldest := l.recent.Back()
		delete(l.clients, l.recent.Remove(oldest).(*bucket).client)
	}
	b := &bucket{client: client, tokens: l.burst, filled: now}
	l.clients[client] = l.recent.PushFront(b)
	return b
}
