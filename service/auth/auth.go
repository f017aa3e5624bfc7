package auth

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
)

// What a client is told that could not be authenticated.
var (
	ErrMissing = errors.New("Credentials are missing: send an API key as X-API-Key, or a bearer token.") //nolint:staticcheck,revive // ST1005: a sentence for the client
	ErrWrong   = errors.New("These credentials are not valid.")                                          //nolint:staticcheck,revive // ST1005: as above
)

// Authenticator knows the clients.
type Authenticator struct {
	keys atomic.Pointer[Keys]
}

// New returns an authenticator that accepts these keys.
func New(keys Keys) *Authenticator {
	a := new(Authenticator)
	a.SetKeys(keys)
	return a
}

// SetKeys replaces the keys.
func (a *Authenticator) SetKeys(keys Keys) { a.keys.Store(&keys) }

// Authenticate returns the client that the headers belong to, [ErrMissing] or [ErrWrong].
func (a *Authenticator) Authenticate(_ context.Context, h http.Header) (Client, error) {
	if key := h.Get("X-API-Key"); key != "" {
		if c, ok := a.keys.Load().Find(key); ok {
			return c, nil
		}
		return Client{}, ErrWrong
	}
	return Client{}, ErrMissing
}
