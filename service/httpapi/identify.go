package httpapi

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
)

// identify determines the request id and the client's address, and sets the common response headers.
func (s *Server) identify(_ *route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := &record{ResponseWriter: w, start: s.options.Now(), id: requestID(r), remote: clientAddr(r, *s.proxies.Load())}
		h := w.Header()
		h.Set("X-Request-Id", rec.id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "private, no-cache")
		if s.drain.Load() {
			h.Set("Connection", "close")
		}
		if s.options.TLS {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		next.ServeHTTP(rec, r)
	})
}

const maxRequestID = 64

// requestID returns the request's X-Request-Id if it is well-formed, or a new id.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if id == "" || len(id) > maxRequestID {
		return newRequestID()
	}
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return newRequestID()
		}
	}
	return id
}

// newRequestID returns a random id, which need not be unpredictable.
func newRequestID() string {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], rand.Uint64()) // #nosec G404 -- not a secret
	binary.NativeEndian.PutUint64(b[8:], rand.Uint64()) // #nosec G404 -- not a secret
	return hex.EncodeToString(b[:])
}
