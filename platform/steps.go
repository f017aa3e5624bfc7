package platform

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// steps prints each step when it is done, with its duration; several may run concurrently.
type steps struct {
	mu    sync.Mutex
	out   io.Writer
	begin time.Time
}

func (s *steps) do(name string, action func() (changed bool, err error)) error {
	start := time.Now()
	changed, err := action()
	state := "ready"
	if changed {
		state = "started"
	}
	return s.print(name, start, state, err)
}

// end is do for steps that stop something.
func (s *steps) end(name string, action func() error) error {
	start := time.Now()
	return s.print(name, start, "gone", action())
}

func (s *steps) print(name string, start time.Time, state string, err error) error {
	if err != nil {
		state = "FAILED"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, "  %-24s %6.2fs  %s\n", name, time.Since(start).Seconds(), state)
	return err
}
