package httpapi

import (
	"net/http"

	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// limitRate limits each client, identified by its credentials or else by its network.
func (s *Server) limitRate(_ *route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := recordOf(w)
		bucket := "client " + rec.client.Name
		if rec.client.Name == "" {
			bucket = clientNetwork(rec.remote)
		}
		if wait, ok := s.limiter.Load().Allow(bucket); !ok {
			s.options.Metrics.Refused(telemetry.RefusedRate)
			rec.fail(&problem{status: http.StatusTooManyRequests, kind: kindRate, detail: "Too many requests from this client.", retryAfter: max(wait, retrySoon)})
			return
		}
		next.ServeHTTP(w, r)
	})
}
