package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
)

// Reasons why a client cannot be authenticated.
var (
	ErrMissing     = errors.New("credentials are missing: send an API key as X-API-Key, or a bearer token")
	ErrWrong       = errors.New("these credentials are not valid")
	ErrUnavailable = errors.New("the issuer's keys cannot be read")
)

// Authenticator authenticates clients by API keys and tokens.
type Authenticator struct {
	keys   atomic.Pointer[Keys]
	tokens *Tokens // nil if tokens are not accepted
}

// New returns an authenticator that accepts keys and, unless tokens is nil, bearer tokens.
func New(keys Keys, tokens *Tokens) *Authenticator {
	a := &Authenticator{tokens: tokens}
	a.SetKeys(keys)
	return a
}

// SetKeys replaces the keys.
func (a *Authenticator) SetKeys(keys Keys) { a.keys.Store(&keys) }

// Authenticate returns the client that the headers belong to, or [ErrMissing], [ErrWrong], [ErrUnavailable]. The password
// of Basic authentication, which browsers support, is an API key.
func (a *Authenticator) Authenticate(ctx context.Context, h http.Header) (Client, error) {
	key := h.Get("X-API-Key")
	scheme, value, _ := strings.Cut(h.Get("Authorization"), " ")
	switch {
	case key != "":
	case strings.EqualFold(scheme, "Bearer") && a.tokens != nil:
		return a.tokens.Find(ctx, strings.TrimSpace(value))
	case strings.EqualFold(scheme, "Basic"):
		_, key, _ = (&http.Request{Header: h}).BasicAuth()
	case scheme == "":
		return Client{}, ErrMissing
	}
	if c, ok := a.keys.Load().Find(key); ok {
		return c, nil
	}
	return Client{}, ErrWrong
}

// Close ends idle connections.
func (a *Authenticator) Close() {
	if a.tokens != nil {
		a.tokens.Close()
	}
}
