package httpapi

import (
	"context"
	"net/http"
)

// limitTime ends the request's context after the route's time limit.
func (s *Server) limitTime(rt *route, next http.Handler) http.Handler {
	limit := s.options.Timeout
	if rt.operation.ID == "payOrder" {
		limit = s.options.PayTimeout
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}
