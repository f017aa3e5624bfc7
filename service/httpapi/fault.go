package httpapi

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

// Fault makes a share of the requests slow or fail, to rehearse what a canary release must notice.
type Fault struct {
	ErrorRatio float64 // share of the requests that are answered 500
	DelayRatio float64 // share of the requests that wait
	Delay      time.Duration
}

// SetFault changes what goes wrong on purpose; nil is nothing.
func (s *Server) SetFault(f *Fault) { s.fault.Store(f) }

// injectFaults makes requests slow or fail when an operator wants to rehearse that.
func (s *Server) injectFaults(_ *route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := s.fault.Load(); fault != nil {
			if err := fault.strike(r.Context()); err != nil {
				recordOf(w).fail(err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (f *Fault) strike(ctx context.Context) error {
	if f.Delay > 0 && rand.Float64() < f.DelayRatio { // #nosec G404 -- a rehearsal, not a secret
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if rand.Float64() < f.ErrorRatio { // #nosec G404 -- as above
		return &problem{status: http.StatusInternalServerError, detail: "This is a rehearsal: a fault was injected."}
	}
	return nil
}
