package httpapi

import (
	"net/http"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/trace"

	"gitlab.com/slipway-ci/slipway/service/auth"
)

// record is the ResponseWriter of the chain. It carries what outer middlewares need from inner ones: the client, the response
// and the cause of a failure.
type record struct {
	http.ResponseWriter
	start  time.Time
	id     string            // the request's
	remote netip.Addr        // the client's address
	client auth.Client       // the authenticated one
	span   trace.SpanContext // of the server span
	body   []byte            // of the request
	status int               // 0 until the response has begun
	bytes  int64
	err    error // why the request failed, for the log
}

// recordOf returns the record of a request in the chain.
func recordOf(w http.ResponseWriter) *record { return w.(*record) }

// Unwrap lets an [http.ResponseController] reach the connection.
func (r *record) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// WriteHeader implements [http.ResponseWriter].
func (r *record) WriteHeader(status int) {
	if status >= http.StatusOK && r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *record) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += int64(n)
	return n, err
}

// outcome returns the final status. Every handler writes a response, so one that did not has panicked.
func (r *record) outcome() int {
	if r.status == 0 {
		return http.StatusInternalServerError
	}
	return r.status
}
