package httpapi

import "net/http"

// measure counts the request and observes its duration.
func (s *Server) measure(rt *route, next http.Handler) http.Handler {
	metrics := s.options.Metrics.Route(rt.path, rt.method)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			rec := recordOf(w)
			metrics.Observe(rec.outcome(), s.options.Now().Sub(rec.start), rec.span)
		}()
		next.ServeHTTP(w, r)
	})
}
