package httpapi

import (
	"context"
	"net/http"

	"gitlab.com/slipway-ci/slipway/service/auth"
)

// Authenticator authenticates clients.
type Authenticator interface {
	// Authenticate returns the client that the headers identify. Clients see the text of its error.
	Authenticate(ctx context.Context, h http.Header) (auth.Client, error)
}

type clientKey struct{}

// clientOf returns the authenticated client; the zero Client without authentication.
func clientOf(ctx context.Context) auth.Client {
	c, _ := ctx.Value(clientKey{}).(auth.Client)
	return c
}

type refusalKey struct{}

// authenticate identifies the client. [Server.authorize] refuses invalid credentials, after the rate limit.
func (s *Server) authenticate(rt *route, next http.Handler) http.Handler {
	if s.options.Auth == nil || rt.operation.Scopes == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		client, err := s.options.Auth.Authenticate(r.Context(), r.Header)
		if err != nil {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), refusalKey{}, err)))
			return
		}
		recordOf(w).client = client
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), clientKey{}, client)))
	})
}
