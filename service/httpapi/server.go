// Package httpapi serves orders over HTTP. The handlers know the domain; what every request needs (an id, a record, a
// time limit, credentials, a place in the queue) is done once, around them.
package httpapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"gitlab.com/slipway-ci/slipway/service/api"
	"gitlab.com/slipway-ci/slipway/service/auth"
	"gitlab.com/slipway-ci/slipway/service/limit"
	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/page"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
	"gitlab.com/slipway-ci/slipway/service/trace"
)

// Authenticator finds out who calls.
type Authenticator interface {
	// Authenticate returns the client that the headers belong to, or an error that a client may read.
	Authenticate(ctx context.Context, h http.Header) (auth.Client, error)
}

// Options is what a Server needs.
type Options struct {
	Orders  *order.Service
	Log     *zap.Logger
	Metrics *telemetry.Metrics
	Tracer  *trace.Tracer // nil traces nothing
	Auth    Authenticator // nil lets anyone do everything
	Now     func() time.Time
	Version string

	MaxBody    int64 // in bytes
	Timeout    time.Duration
	PayTimeout time.Duration
	TLS        bool // tell browsers to stay with HTTPS
}

// Limits is what may change while the server runs.
type Limits struct {
	Rate        float64 // requests per second and client; 0 is no limit
	Burst       int
	MaxInFlight int
	CORSOrigins []string
}

// Server is the public handler.
type Server struct {
	options   Options
	mux       *http.ServeMux
	gate      *limit.Gate
	cors      atomic.Pointer[[]string]
	limiter   atomic.Pointer[limit.Limiter]
	fault     atomic.Pointer[Fault]
	drain     atomic.Bool
	missed    *telemetry.Route
	missedLog zapcore.Core
	born      time.Time
}

// New returns the handler of the public listener.
func New(o Options, l Limits) *Server {
	s := &Server{options: o, mux: http.NewServeMux(), gate: limit.NewGate(l.MaxInFlight), missed: o.Metrics.Route("unmatched", "any"), born: o.Now(),
		missedLog: o.Log.With(zap.String("route", unmatched.pattern)).Core()}
	s.SetLimits(l)
	o.Metrics.Func("gauge", "http_requests_in_flight", "Requests that are being served.", func() float64 { return float64(s.gate.Inside()) })
	strict := api.NewStrictHandlerWithOptions(&handlers{orders: o.Orders}, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: answerError, ResponseErrorHandlerFunc: answerError})
	api.HandlerWithOptions(strict, api.StdHTTPServerOptions{BaseRouter: router{s}, ErrorHandlerFunc: answerError})
	s.handle("GET /openapi.yaml", api.Operation{}, serveContract)
	s.handlePage()
	return s
}

// handlePage adds the page for people. It is not part of the contract.
func (s *Server) handlePage() {
	// What a browser shows may load nothing but what the page itself allows, and tells nobody where the reader came from. A
	// browser that gets JSON, and must not sniff it into something else, has no use for these.
	browser := func(handler http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
			w.Header().Set("Referrer-Policy", "no-referrer")
			handler(w, r)
		}
	}
	assets := page.NewAssets()
	home := page.New(s.options.Orders.List, s.state, assets)
	s.handle("GET /{$}", api.Operation{ID: "page", Scopes: []string{"orders:read"}, Query: []string{"status"}}, browser(func(w http.ResponseWriter, r *http.Request) {
		if err := home.Serve(w, r); err != nil {
			answerError(w, r, err)
		}
	}))
	s.handle("GET /static/{file}", api.Operation{}, browser(func(w http.ResponseWriter, r *http.Request) {
		if !assets.Serve(w, r) {
			answerError(w, r, &problem{status: http.StatusNotFound, detail: "There is nothing here."})
		}
	}))
}

func (s *Server) state(ctx context.Context) page.State {
	state := page.State{Version: s.options.Version, Uptime: s.options.Now().Sub(s.born), InFlight: s.gate.Inside()}
	if err := s.options.Orders.Ready(ctx); err != nil {
		state.Problem = "database does not answer"
	} else if s.drain.Load() {
		state.Problem = "draining"
	}
	return state
}

// SetLimits changes the limits; a client's bucket starts full again when the rate changes.
func (s *Server) SetLimits(l Limits) {
	s.gate.SetLimit(l.MaxInFlight)
	s.cors.Store(&l.CORSOrigins)
	if old := s.limiter.Load(); old == nil || !old.Is(l.Rate, l.Burst) {
		s.limiter.Store(limit.NewLimiter(l.Rate, l.Burst, s.options.Now))
	}
}

// Drain asks clients to make no further requests on their connections, so that there are none to cut off when the server
// stops.
func (s *Server) Drain() { s.drain.Store(true) }

// route is what is known of a route before a request comes.
type route struct {
	pattern   string
	operation api.Operation
	timeout   time.Duration
	metrics   *telemetry.Route
	log       zapcore.Core // with the fields that its records have in common
	handler   http.HandlerFunc
}

// unmatched is the route of requests that the mux answers itself.
var unmatched = &route{pattern: "unmatched"}

// router lets the generated code register its handlers as routes.
type router struct{ *Server }

// HandleFunc implements the generated ServeMux interface.
func (r router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	operation, ok := api.Operations[pattern]
	if !ok {
		panic("operations.gen.go does not know " + pattern + ": run go generate ./service/api")
	}
	r.handle(pattern, operation, handler)
}

func (s *Server) handle(pattern string, operation api.Operation, handler http.HandlerFunc) {
	method, path, _ := strings.Cut(pattern, " ")
	rt := &route{pattern: pattern, operation: operation, timeout: s.options.Timeout, handler: handler,
		metrics: s.options.Metrics.Route(path, method), log: s.options.Log.With(zap.String("method", method), zap.String("route", path)).Core()}
	if operation.ID == "payOrder" {
		rt.timeout = s.options.PayTimeout
	}
	s.mux.HandleFunc(pattern, func(_ http.ResponseWriter, r *http.Request) { s.serveRoute(rt, r) })
}

// Header values that every answer has; slices, since that is what a header holds.
var (
	nosniff    = []string{"nosniff"}
	revalidate = []string{"private, no-cache"}
	closing    = []string{"close"}
	onlyHTTPS  = []string{"max-age=31536000"}
)

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{ResponseWriter: w, start: s.options.Now(), id: [1]string{requestID(r)}}
	h := w.Header()
	h["X-Request-Id"] = x.id[:]
	h["X-Content-Type-Options"] = nosniff
	h["Cache-Control"] = revalidate
	if s.drain.Load() {
		h["Connection"] = closing
	}
	if s.options.TLS {
		h["Strict-Transport-Security"] = onlyHTTPS
	}
	if s.options.Tracer != nil {
		x.span = s.options.Tracer.Begin(trace.Extract(r.Header), trace.Server, x.start)
	}
	x.context = exchangeContext{r.Context(), x}
	x.request = r.WithContext(&x.context)
	defer s.finish(x)
	if !s.gate.Enter() {
		s.options.Metrics.Refused("overload")
		x.writeProblem(&problem{status: http.StatusServiceUnavailable, kind: kindOverload, detail: "Too many requests are being served.", retryAfter: retrySoon})
		return
	}
	defer s.gate.Leave()
	if s.answerPreflight(x) {
		return
	}
	s.mux.ServeHTTP(x, x.request)
}

// finish counts, traces and records the request, whatever happened.
func (s *Server) finish(x *exchange) {
	if v := recover(); v != nil {
		if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
			panic(v)
		}
		s.options.Log.Error("panic", zap.String("request_id", x.id[0]), zap.Any("value", v), zap.ByteString("stack", debug.Stack()))
		x.writeProblem(problemOf(fmt.Errorf("panic: %v", v)))
	}
	end := s.options.Now()
	if x.status == 0 {
		x.status = http.StatusOK
	}
	pattern, metrics := unmatched.pattern, s.missed
	if x.route != nil {
		pattern, metrics = x.route.pattern, x.route.metrics
	}
	metrics.Observe(x.status, end.Sub(x.start))
	if x.span.Recording() {
		s.endSpan(x, pattern, end)
	}
	s.record(x, end)
}

func (s *Server) endSpan(x *exchange, pattern string, end time.Time) {
	failure := ""
	if x.status >= http.StatusInternalServerError {
		failure = http.StatusText(x.status)
	}
	x.span.End(pattern, end, failure, trace.Attribute{Key: "http.request.method", Value: x.request.Method},
		trace.Attribute{Key: "http.route", Value: pattern}, trace.Attribute{Key: "url.path", Value: x.request.URL.Path},
		trace.Attribute{Key: "http.response.status_code", Value: x.status}, trace.Attribute{Key: "http.request.id", Value: x.id[0]})
}

// record writes the access record, the only one of a request that went well.
func (s *Server) record(x *exchange, end time.Time) {
	level := zapcore.InfoLevel
	if x.status >= http.StatusInternalServerError {
		level = zapcore.ErrorLevel
	}
	core := s.missedLog
	if x.route != nil {
		core = x.route.log
	}
	entry := core.Check(zapcore.Entry{Level: level, Time: end, Message: "request"}, nil)
	if entry == nil {
		return
	}
	pooled := fieldsPool.Get().(*[]zap.Field)
	fields := append((*pooled)[:0], zap.String("request_id", x.id[0]), zap.String("path", x.request.URL.Path),
		zap.Int("status", x.status), zap.Int64("bytes", x.bytes), zap.Duration("duration_ns", end.Sub(x.start)),
		zap.String("remote", x.request.RemoteAddr))
	if x.route == nil {
		fields = append(fields, zap.String("method", x.request.Method))
	}
	if x.client.Name != "" {
		fields = append(fields, zap.String("client", x.client.Name))
	}
	if x.span.Context.Valid() {
		fields = append(fields, zap.String("trace_id", x.span.Context.Trace()))
	}
	if x.err != nil {
		fields = append(fields, zap.Error(x.err))
	}
	entry.Write(fields...)
	clear(fields)
	*pooled = fields
	fieldsPool.Put(pooled)
}

// fieldsPool holds the fields of access records: most of what a request would allocate here.
var fieldsPool = sync.Pool{New: func() any { return new([]zap.Field) }}

// serveRoute does what every route needs, and then what this one does.
func (s *Server) serveRoute(rt *route, r *http.Request) {
	x := exchangeOf(r.Context())
	x.route = rt
	if err := s.admit(x, r); err != nil {
		x.writeProblem(problemOf(err))
		return
	}
	// The time limit goes into the context that the request has already: another request would be a copy of it.
	ctx, cancel := context.WithTimeout(x.context.Context, rt.timeout)
	defer cancel()
	x.context.Context = ctx
	if fault := s.fault.Load(); fault != nil {
		if err := fault.strike(ctx); err != nil {
			x.writeProblem(problemOf(err))
			return
		}
	}
	if rt.operation.Body != "" {
		if err := s.readBody(x, r, rt.operation.Body); err != nil {
			x.writeProblem(problemOf(err))
			return
		}
	}
	rt.handler(x, r)
}

// admit checks who calls, whether they may, and whether they call too often.
func (s *Server) admit(x *exchange, r *http.Request) error {
	bucket, _, _ := net.SplitHostPort(r.RemoteAddr)
	var refused error
	if s.options.Auth != nil && x.route.operation.Scopes != nil {
		client, err := s.options.Auth.Authenticate(r.Context(), r.Header)
		switch {
		case errors.Is(err, auth.ErrUnavailable):
			refused = &problem{status: http.StatusServiceUnavailable, detail: "Credentials cannot be checked now.", retryAfter: retrySoon, cause: err}
		case err != nil:
			x.Header().Set("WWW-Authenticate", challenge(x.route))
			refused = &problem{status: http.StatusUnauthorized, detail: sentence(err)}
		default:
			x.client, bucket = client, "client "+client.Name
			refused = checkScopes(client, x.route.operation.Scopes)
		}
	}
	if wait, ok := s.limiter.Load().Allow(bucket); !ok {
		s.options.Metrics.Refused("rate")
		return &problem{status: http.StatusTooManyRequests, kind: kindRate, detail: "You call too often.", retryAfter: max(wait, retrySoon)}
	}
	if refused != nil {
		return refused
	}
	if r.URL.RawQuery == "" {
		return nil
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &problem{status: http.StatusBadRequest, detail: "The query has the wrong form."}
	}
	for name := range values {
		if !slices.Contains(x.route.operation.Query, name) {
			return badParameter(name, "is not known")
		}
	}
	return nil
}

// sentence makes one of an error.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// challenge says how to authenticate; a browser knows how to ask a person for a password only.
func challenge(rt *route) string {
	if rt.operation.ID == "page" {
		return `Basic realm="orders; the password is an API key"`
	}
	return `Bearer realm="orders"`
}

func checkScopes(client auth.Client, scopes []string) error {
	for _, scope := range scopes {
		if !slices.Contains(client.Scopes, scope) {
			return &problem{status: http.StatusForbidden, detail: "These credentials do not have the scope " + scope + "."}
		}
	}
	return nil
}

// readBody reads the whole body, so that a handler never waits for one, and refuses what is not one JSON value.
func (s *Server) readBody(x *exchange, r *http.Request, want string) error {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != want {
		x.Header().Set("Accept", want)
		return &problem{status: http.StatusUnsupportedMediaType, detail: "The body must be of the type " + want + "."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(x.ResponseWriter, r.Body, s.options.MaxBody))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return err
		}
		return &problem{status: http.StatusBadRequest, detail: "The body could not be read to its end.", cause: err}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return api.CheckOne(body)
}

func answerError(w http.ResponseWriter, r *http.Request, err error) {
	exchangeOf(r.Context()).writeProblem(problemOf(err))
}

func serveContract(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(api.Contract)
}
