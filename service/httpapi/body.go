package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// Limits on reading bodies, besides their size.
const (
	maxBodies    = 512              // concurrently
	bodyTime     = 10 * time.Second // for one body
	busyBodyTime = time.Second      // for one body while more than half of maxBodies are being read
)

// readBody reads the whole body before [Server.limitLoad] counts the request, so that slow clients do not block others. The
// number of bodies is limited on its own, and each gets less time when that limit is near.
func (s *Server) readBody(rt *route, next http.Handler) http.Handler {
	if rt.operation.Body == "" {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := s.read(w, r)
		if err != nil {
			recordOf(w).fail(err)
			return
		}
		recordOf(w).body = body
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func (s *Server) read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if !s.bodies.Enter() {
		s.options.Metrics.Refused(telemetry.RefusedBodies)
		return nil, &problem{status: http.StatusServiceUnavailable, kind: kindOverload, detail: "Too many bodies are being received.", retryAfter: retrySoon}
	}
	defer s.bodies.Leave()
	limit := bodyTime
	if s.bodies.Inside() > maxBodies/2 {
		limit = busyBodyTime
	}
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(limit)) // fails in tests without a connection
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.options.MaxBody))
	if err == nil {
		_ = connection.SetReadDeadline(time.Time{})
		return body, nil
	}
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, err
	}
	w.Header().Set("Connection", "close") // the rest of the body may still arrive
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil, &problem{status: http.StatusRequestTimeout, detail: "The body took too long.", cause: err}
	}
	return nil, &problem{status: http.StatusBadRequest, detail: "The body could not be read to its end.", cause: err}
}
