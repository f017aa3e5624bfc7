package httpapi

import (
	"net/http"

	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// limitRate refuses clients that call too often; they are told apart by their credentials, or else by their network.
func (s *Server) limitRate(_ *route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := recordOf(w)
		bucket := "client " + rec.client.Name
		if rec.client.Name == "" {
			bucket = clientNetwork(rec.remote)
		}
		if wait, ok := s.limiter.Load().Allow(bucket); !ok {
			s.options.Metrics.Refused(telemetry.RefusedRate)
			rec.fail(&problem{status: http.StatusTooManyRequests, kind: kindRate, detail: "You call too often.", retryAfter: max(wait, retrySoon)})
			return
		}
		next.ServeHTTP(w, r)
	})
}
