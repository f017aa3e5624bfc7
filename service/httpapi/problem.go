package httpapi

import (
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/service/api"
	"gitlab.com/slipway-ci/slipway/service/order"
)

// statusClientGone is the status in logs and metrics of a request whose client disconnected.
const statusClientGone = 499

// problem is an error response (RFC 9457). The cause is only logged.
type problem struct {
	status     int
	kind       string // identifies the kind; "" if the status suffices
	detail     string
	fields     []order.FieldError
	retryAfter time.Duration
	cause      error
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.cause.Error()
	}
	return p.detail
}

func (p *problem) Unwrap() error { return p.cause }

// Kinds of problems that clients may handle differently; others have the type about:blank.
const (
	kindInvalid        = "invalid"
	kindKeyReused      = "idempotency-key-reused"
	kindState          = "state"
	kindChanged        = "changed"
	kindDeclined       = "payment-declined"
	kindRejected       = "payment-rejected"
	kindPaymentPending = "payment-pending"
	kindOverload       = "overload"
	kindRate           = "rate"
)

const (
	retrySoon  = time.Second
	retryLater = 5 * time.Second
)

// problemOf returns the problem that describes an error to a client.
func problemOf(err error) *problem {
	var told *problem
	var invalid *order.InvalidError
	var body *api.BodyError
	var parameter *api.ParameterError
	var format *api.InvalidParamFormatError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &told):
		return told
	case errors.As(err, &invalid):
		return &problem{status: http.StatusUnprocessableEntity, kind: kindInvalid, detail: "The request is valid, but cannot be processed.", fields: invalid.Fields}
	case errors.As(err, &body) && body.Violations == nil:
		return &problem{status: http.StatusBadRequest, kind: kindInvalid, detail: "The body cannot be read: " + body.Error() + "."}
	case errors.As(err, &body):
		return &problem{status: http.StatusUnprocessableEntity, kind: kindInvalid, detail: "The body violates the contract.", fields: fieldsOf(body.Violations)}
	case errors.As(err, &parameter):
		return badParameter(parameter.Field, parameter.Message)
	case errors.As(err, &format):
		return badParameter(format.ParamName, "has the wrong form")
	case errors.As(err, &tooLarge):
		return &problem{status: http.StatusRequestEntityTooLarge, detail: fmt.Sprintf("The body exceeds %d bytes.", tooLarge.Limit)}
	case errors.Is(err, order.ErrNotFound):
		return &problem{status: http.StatusNotFound, detail: "No such order."}
	case errors.Is(err, order.ErrKeyReused):
		return &problem{status: http.StatusUnprocessableEntity, kind: kindKeyReused, detail: "This Idempotency-Key was used for a request with another body."}
	case errors.Is(err, order.ErrState):
		return &problem{status: http.StatusConflict, kind: kindState, detail: "The order's state does not allow this: " + err.Error() + "."}
	case errors.Is(err, order.ErrChanged):
		return &problem{status: http.StatusConflict, kind: kindChanged, detail: "The order has changed in the meantime; read it again.", retryAfter: retrySoon}
	case errors.Is(err, order.ErrDeclined):
		return &problem{status: http.StatusPaymentRequired, kind: kindDeclined, detail: "The payment was declined."}
	case errors.Is(err, order.ErrRejected):
		return &problem{status: http.StatusUnprocessableEntity, kind: kindRejected, cause: err,
			detail: "The payment provider rejected the charge. Nothing was charged; change the order and pay again, or cancel it."}
	case errors.Is(err, order.ErrPaymentPending):
		return &problem{status: http.StatusServiceUnavailable, kind: kindPaymentPending, retryAfter: retryLater, cause: err,
			detail: "The payment provider did not respond. The order stays in paying; the service retries by itself."}
	case errors.Is(err, order.ErrUnavailable):
		return &problem{status: http.StatusServiceUnavailable, detail: "The database is unavailable.", retryAfter: retryLater, cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{status: http.StatusServiceUnavailable, detail: "The request took too long.", retryAfter: retrySoon, cause: err}
	case errors.Is(err, context.Canceled):
		return &problem{status: statusClientGone, detail: "The client has gone.", cause: err}
	}
	return &problem{status: http.StatusInternalServerError, detail: "Internal error; the log has the cause under this request's id.", cause: err}
}

// preconditionFailed turns ErrChanged into 412, for requests with If-Match.
func preconditionFailed(err error) error {
	if errors.Is(err, order.ErrChanged) {
		return &problem{status: http.StatusPreconditionFailed, kind: kindChanged, detail: "The order has another version; read it again."}
	}
	return err
}

func badParameter(name, message string) *problem {
	return &problem{status: http.StatusBadRequest, kind: kindInvalid, detail: "The parameter " + name + " " + message + ".",
		fields: []order.FieldError{{Field: name, Message: message}}}
}

func fieldsOf(violations []api.Violation) []order.FieldError {
	fields := make([]order.FieldError, len(violations))
	for i, v := range violations {
		fields[i] = order.FieldError(v)
	}
	return fields
}

// fail responds with the problem of an error, and records its cause for the access log.
func (r *record) fail(err error) {
	p := problemOf(err)
	r.err = p.cause
	if r.status != 0 { // too late: the response has begun
		return
	}
	if p.status == statusClientGone {
		r.status = statusClientGone // nobody reads a response
		return
	}
	doc := api.Problem{Type: "about:blank", Title: http.StatusText(p.status), Status: p.status, Instance: &r.id}
	if p.kind != "" {
		doc.Type = "urn:problem:orders:" + p.kind
		doc.Title = strings.ToUpper(p.kind[:1]) + strings.ReplaceAll(p.kind[1:], "-", " ")
	}
	if p.detail != "" {
		doc.Detail = &p.detail
	}
	if p.fields != nil {
		fields := make([]struct {
			Field   string `json:"field"`
			Message string `json:"message"`
		}, len(p.fields))
		for i, f := range p.fields {
			fields[i].Field, fields[i].Message = f.Field, f.Message
		}
		doc.Errors = &fields
	}
	h := r.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Del("ETag")
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.retryAfter.Seconds()))))
	}
	body, err := json.Marshal(doc)
	if err != nil { // cannot happen: it consists of strings
		r.err = errors.Join(r.err, err)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	r.WriteHeader(p.status)
	_, _ = r.Write(body) // an error means that the client has gone
}
