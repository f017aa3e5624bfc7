package httpapi

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"gitlab.com/slipway-ci/slipway/service/auth"
)

// authorize refuses clients that are not authenticated or lack a scope.
func (s *Server) authorize(rt *route, next http.Handler) http.Handler {
	if s.options.Auth == nil || rt.operation.Scopes == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refusal, _ := r.Context().Value(refusalKey{}).(error)
		switch {
		case errors.Is(refusal, auth.ErrUnavailable):
			recordOf(w).fail(&problem{status: http.StatusServiceUnavailable, detail: "Credentials cannot be checked now.", retryAfter: retrySoon, cause: refusal})
			return
		case refusal != nil:
			w.Header().Set("WWW-Authenticate", challenge(rt))
			recordOf(w).fail(&problem{status: http.StatusUnauthorized, detail: sentence(refusal)})
			return
		}
		for _, scope := range rt.operation.Scopes {
			if !slices.Contains(clientOf(r.Context()).Scopes, scope) {
				recordOf(w).fail(&problem{status: http.StatusForbidden, detail: "These credentials do not have the scope " + scope + "."})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// sentence turns an error's text into a sentence.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// challenge returns the value of WWW-Authenticate; browsers prompt for Basic only.
func challenge(rt *route) string {
	if rt.operation.ID == "page" {
		return `Basic realm="orders; the password is an API key"`
	}
	return `Bearer realm="orders"`
}
