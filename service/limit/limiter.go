// Package limit protects the service from overload.
package limit

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// MaxClients bounds the memory of a limiter: about 250 bytes each. If there are more, the longest idle one is
// removed, and starts with a full bucket.
const MaxClients = 10_000

// Limiter gives each client a bucket of tokens that fills at a rate.
type Limiter struct {
	rate  rate.Limit // tokens per second; 0 is no limit
	burst int
	now   func() time.Time

	mu      sync.Mutex
	clients *simplelru.LRU[string, *rate.Limiter]
}

// NewLimiter allows each client perSecond requests per second, and bursts of burst requests; a rate of 0 is no limit.
func NewLimiter(perSecond float64, burst int, now func() time.Time) *Limiter {
	clients, _ := simplelru.NewLRU[string, *rate.Limiter](MaxClients, nil) // fails for sizes below 1 only
	return &Limiter{rate: rate.Limit(perSecond), burst: burst, now: now, clients: clients}
}

// Is reports whether the limiter has this rate and burst.
func (l *Limiter) Is(perSecond float64, burst int) bool {
	return l.rate == rate.Limit(perSecond) && l.burst == burst
}

// Allow takes one of the client's tokens; without one it returns how long to wait for it.
func (l *Limiter) Allow(client string) (wait time.Duration, ok bool) {
	if l.rate == 0 {
		return 0, true
	}
	now := l.now()
	r := l.bucket(client).ReserveN(now, 1)
	if wait = r.DelayFrom(now); wait > 0 {
		r.CancelAt(now)
		return wait, false
	}
	return 0, true
}

func (l *Limiter) bucket(client string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.clients.Get(client)
	if !ok {
		b = rate.NewLimiter(l.rate, l.burst)
		l.clients.Add(client, b)
	}
	return b
}
