package httpapi

import (
	"net/http"

	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// limitLoad refuses requests beyond http.max_in_flight.
func (s *Server) limitLoad(_ *route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.gate.Enter() {
			s.options.Metrics.Refused(telemetry.RefusedOverload)
			recordOf(w).fail(&problem{status: http.StatusServiceUnavailable, kind: kindOverload, detail: "Too many requests are being served.", retryAfter: retrySoon})
			return
		}
		defer s.gate.Leave()
		next.ServeHTTP(w, r)
	})
}
