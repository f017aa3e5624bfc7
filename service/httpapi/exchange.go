package httpapi

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"time"

	"gitlab.com/slipway-ci/slipway/service/auth"
	"gitlab.com/slipway-ci/slipway/service/trace"
)

// exchange is one request and its answer. It is the ResponseWriter of the handlers, and remembers what the access record
// and the metrics need.
type exchange struct {
	http.ResponseWriter
	request *http.Request
	context exchangeContext
	start   time.Time
	id      [1]string // as a header holds it
	route   *route    // nil while no route matched
	client  auth.Client
	span    trace.Span
	status  int // 0 until the answer has begun
	bytes   int64
	err     error // why it failed, for the log
	discard bool  // the rest of the body is replaced
}

// exchangeContext carries the exchange; it is a part of it, where context.WithValue would allocate.
type exchangeContext struct {
	context.Context
	exchange *exchange
}

type exchangeKey struct{}

func (c *exchangeContext) Value(key any) any {
	switch key {
	case exchangeKey{}:
		return c.exchange
	case trace.Key:
		return &c.exchange.span
	}
	return c.Context.Value(key)
}

// exchangeOf returns the exchange that a handler's context belongs to.
func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// Unwrap lets an [http.ResponseController] reach the connection.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }

// WriteHeader implements [http.ResponseWriter]. Where the mux itself answers, since no route matches, its text becomes a
// problem.
func (x *exchange) WriteHeader(status int) {
	if status >= 100 && status < 200 {
		x.ResponseWriter.WriteHeader(status)
		return
	}
	if x.route == nil && x.status == 0 && !x.discard && (status == http.StatusNotFound || status == http.StatusMethodNotAllowed) {
		x.discard = true
		h := x.Header()
		detail := "There is nothing here."
		if allow := h.Get("Allow"); allow != "" {
			detail = "Here only these methods are possible: " + allow + "."
		}
		body := &exchange{ResponseWriter: x.ResponseWriter, id: x.id, route: unmatched}
		body.writeProblem(&problem{status: status, detail: detail})
		x.status, x.bytes = body.status, body.bytes
		return
	}
	if x.status == 0 {
		x.status = status
		x.ResponseWriter.WriteHeader(status)
	}
}

// Write implements [http.ResponseWriter].
func (x *exchange) Write(b []byte) (int, error) {
	if x.discard {
		return len(b), nil
	}
	if x.status == 0 {
		x.status = http.StatusOK
	}
	n, err := x.ResponseWriter.Write(b)
	x.bytes += int64(n)
	return n, err
}

const maxRequestID = 64

// requestID returns the id that a proxy gave the request, if it is a harmless one, or a new one.
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

// newRequestID names a request; the name has to be unlikely to come twice, not hard to guess.
func newRequestID() string {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], rand.Uint64()) // #nosec G404 -- not a secret
	binary.NativeEndian.PutUint64(b[8:], rand.Uint64()) // #nosec G404 -- not a secret
	return hex.EncodeToString(b[:])
}
