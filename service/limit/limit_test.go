package limit_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/service/limit"
)

func TestLimiter(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	l := limit.NewLimiter(2, 3, func() time.Time { return now })
	steps := []struct {
		pause  time.Duration
		client string
		ok     bool
		wait   time.Duration
	}{
		{0, "a", true, 0}, {0, "a", true, 0}, {0, "a", true, 0},
		{0, "a", false, 500 * time.Millisecond},
		{0, "b", true, 0}, // a bucket of its own
		{250 * time.Millisecond, "a", false, 250 * time.Millisecond},
		{250 * time.Millisecond, "a", true, 0},
		{time.Hour, "a", true, 0}, {0, "a", true, 0}, {0, "a", true, 0}, // no more than the burst
		{0, "a", false, 500 * time.Millisecond},
	}
	for i, s := range steps {
		now = now.Add(s.pause)
		if wait, ok := l.Allow(s.client); ok != s.ok || wait != s.wait {
			t.Errorf("step %d: %v, %v; want %v, %v", i, wait, ok, s.wait, s.ok)
		}
	}
	if !l.Is(2, 3) || l.Is(2, 4) || l.Is(1, 3) {
		t.Error("Is does not know the limiter")
	}
}

func TestLimiterIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := limit.NewLimiter(1, 1, func() time.Time { return now })
	l.Allow("first")
	for i := range limit.MaxClients {
		l.Allow(fmt.Sprint(i))
	}
	if _, ok := l.Allow("first"); !ok {
		t.Error("the client that was idle the longest is still remembered")
	}
	if _, ok := l.Allow(fmt.Sprint(limit.MaxClients - 1)); ok {
		t.Error("the last client was forgotten")
	}
}

func TestNoLimit(t *testing.T) {
	t.Parallel()
	l := limit.NewLimiter(0, 1, time.Now)
	for range 100 {
		if _, ok := l.Allow("a"); !ok {
			t.Fatal("a rate of 0 limits")
		}
	}
}

func TestGate(t *testing.T) {
	t.Parallel()
	g := limit.NewGate(2)
	if first, second, third := g.Enter(), g.Enter(), g.Enter(); !first || !second || third {
		t.Error("the gate does not let in two")
	}
	g.SetLimit(1)
	if g.Leave(); g.Enter() || g.Inside() != 1 {
		t.Error("a lower limit has no effect")
	}
	g.SetLimit(50)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() {
			if g.Enter() {
				g.Leave()
			}
		})
	}
	if all.Wait(); g.Inside() != 1 {
		t.Errorf("%d are inside, want 1", g.Inside())
	}
}
