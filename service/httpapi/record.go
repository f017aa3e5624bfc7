package httpapi

import (
	"net/http"
	"net/netip"
	"time"

	"go.opentelemetry.io/otel/trace"

	"gitlab.com/slipway-ci/slipway/service/auth"
)

// record is the ResponseWriter of the chain. It notes what the outer middlewares need to know of the inner ones: what was
// answered, to whom, and why it failed.
type record struct {
	http.ResponseWriter
	start  time.Time
	id     string            // the request's
	remote netip.Addr        // the client's address
	client auth.Client       // who was authenticated
	span   trace.SpanContext // of the server span
	status int               // 0 until the answer has begun
	bytes  int64
	err    error // why the request failed, for the log
}

// recordOf returns the record of the chain that a handler was called by.
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

// outcome is the status that the request ended with. Every handler writes an answer, so one that did not has panicked.
func (r *record) outcome() int {
	if r.status == 0 {
		return http.StatusInternalServerError
	}
	return r.status
}
