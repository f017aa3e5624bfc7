package httpapi

import (
	"net/http"
	"slices"
)

// answerPreflight adds what a browser wants to see before it lets a page of another origin read an answer, and answers
// the browser's own question (a preflight); then it returns true.
func (s *Server) answerPreflight(x *exchange) bool {
	origin := x.request.Header.Get("Origin")
	if origin == "" {
		return false
	}
	h := x.Header()
	h.Add("Vary", "Origin")
	if !slices.Contains(*s.cors.Load(), origin) {
		return false // without the headers the browser refuses
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "ETag, Location, Idempotency-Replayed, Retry-After, X-Request-Id")
	if x.request.Method != http.MethodOptions || x.request.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PATCH")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, X-API-Key, X-Request-Id")
	h.Set("Access-Control-Max-Age", "600")
	x.WriteHeader(http.StatusNoContent)
	return true
}
