package httpapi

import (
	"net/http"
	"slices"
)

// middleware wraps the handler of a route.
type middleware func(*route, http.Handler) http.Handler

// chain wraps a route's handler in everything that each request needs, the outermost first.
func (s *Server) chain(rt *route, handler http.Handler) http.Handler {
	for _, wrap := range slices.Backward([]middleware{
		s.identify,     // request id, client address, headers of every answer
		s.recover,      // a panic becomes an answer
		s.logAccess,    // one record per request
		s.measure,      // metrics
		s.trace,        // the server span
		s.readBody,     // the whole body, before the request takes a place
		s.limitLoad,    // overload
		s.allowOrigins, // CORS
		s.refuseCrossSite,
		s.authenticate,
		s.limitRate,
		s.authorize, // behind the rate limit, so that guessing is limited, too
		s.limitTime, // deadline
		s.injectFaults,
		s.checkContract,
	}) {
		handler = wrap(rt, handler)
	}
	return handler
}
