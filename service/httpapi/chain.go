package httpapi

import (
	"net/http"
	"slices"
)

// middleware wraps the handler of a route.
type middleware func(*route, http.Handler) http.Handler

// chain wraps a route's handler in the middlewares, the outermost first.
func (s *Server) chain(rt *route, handler http.Handler) http.Handler {
	for _, wrap := range slices.Backward([]middleware{
		s.identify,     // request id, client address, common response headers
		s.recover,      // panics become 500
		s.logAccess,    // access log
		s.measure,      // metrics
		s.trace,        // the server span
		s.readBody,     // the whole body, before the request counts as running
		s.limitLoad,    // overload
		s.allowOrigins, // CORS
		s.refuseCrossSite,
		s.authenticate,
		s.limitRate,
		s.authorize, // after the rate limit, which also limits guessing of credentials
		s.limitTime, // deadline
		s.injectFaults,
		s.checkContract,
	}) {
		handler = wrap(rt, handler)
	}
	return handler
}
