// Package http01 has the path of challenges by HTTP.
package http01

// ChallengePath returns the path of a token (RFC 8555, section 8.3).
func ChallengePath(token string) string { return "/.well-known/acme-challenge/" + token }
