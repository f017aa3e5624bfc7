package httpapi

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

// Fault makes a share of the requests slow or fail, to rehearse a canary analysis.
type Fault struct {
	ErrorRatio float64 // share of the requests that get 500
	DelayRatio float64 // share of the requests that are delayed
	Delay      time.Duration
}

// SetFault sets the injected fault; nil removes it.
func (s *Server) SetFault(f *Fault) { s.fault.Store(f) }

// injectFaults applies the injected fault.
func (s *Server) injectFaults(_ *route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := s.fault.Load(); fault != nil {
			if err := fault.apply(r.Context()); err != nil {
				recordOf(w).fail(err)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (f *Fault) apply(ctx context.Context) error {
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
		return &problem{status: http.StatusInternalServerError, detail: "An injected fault, for a rehearsal."}
	}
	return nil
}
