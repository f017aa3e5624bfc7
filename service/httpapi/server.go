// Package httpapi serves orders over HTTP: handlers, and the middlewares of [Server.chain], each in a file of its own.
package httpapi

import (
	"context"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"gitlab.com/slipway-ci/slipway/service/api"
	"gitlab.com/slipway-ci/slipway/service/limit"
	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/page"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// Options configures a Server.
type Options struct {
	Orders  *order.Service
	Log     *zap.Logger
	Metrics *telemetry.Metrics
	Traces  *telemetry.Traces
	Auth    Authenticator // nil disables authentication
	Now     func() time.Time
	State   func(context.Context) page.State // for the page

	MaxBody    int64 // in bytes
	Timeout    time.Duration
	PayTimeout time.Duration
	TLS        bool // sends Strict-Transport-Security
}

// Limits are the settings that may change at runtime.
type Limits struct {
	Rate           float64 // requests per second and client; 0 is no limit
	Burst          int
	MaxInFlight    int
	CORSOrigins    []string
	TrustedProxies []netip.Prefix // whose forwarding headers are trusted
}

// Server is the public handler.
type Server struct {
	options Options
	mux     *http.ServeMux
	gate    *limit.Gate // running requests
	bodies  *limit.Gate // bodies that are being read
	origins atomic.Pointer[[]string]
	sites   atomic.Pointer[http.CrossOriginProtection]
	proxies atomic.Pointer[[]netip.Prefix]
	limiter atomic.Pointer[limit.Limiter]
	fault   atomic.Pointer[Fault]
	drain   atomic.Bool

	unmatched http.Handler // for requests that match no route
}

// New returns the handler of the public listener.
func New(o Options, l Limits) (*Server, error) {
	operations, err := api.Operations()
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, mux: http.NewServeMux(), gate: limit.NewGate(l.MaxInFlight), bodies: limit.NewGate(maxBodies)}
	if err := s.SetLimits(l); err != nil {
		return nil, err
	}
	o.Metrics.Gauge("http_requests_in_flight", "Requests being served.", func() float64 { return float64(s.gate.Inside()) })
	o.Metrics.Gauge("http_bodies_in_flight", "Request bodies being read.", func() float64 { return float64(s.bodies.Inside()) })
	strict := api.NewStrictHandlerWithOptions(&handlers{orders: o.Orders}, nil, api.StrictHTTPServerOptions{
		RequestErrorHandlerFunc: answerError, ResponseErrorHandlerFunc: answerError})
	api.HandlerWithOptions(strict, api.StdHTTPServerOptions{BaseRouter: router{s, operations}, ErrorHandlerFunc: answerError})
	s.handle("GET /openapi.yaml", new(api.Operation), serveContract)
	s.handlePage()
	s.handle("", new(api.Operation), s.answerUnmatched)
	return s, nil
}

// handlePage adds the page for people. It is not part of the contract.
func (s *Server) handlePage() {
	home := page.New(s.options.Orders.List, s.options.State)
	s.handle("GET /{$}", api.PageOperation(), func(w http.ResponseWriter, r *http.Request) {
		if err := home.Serve(w, r); err != nil {
			answerError(w, r, err)
		}
	})
}

// SetLimits changes the limits; if the rate changes, clients start with a full burst.
func (s *Server) SetLimits(l Limits) error {
	sites, err := newSites(l.CORSOrigins)
	if err != nil {
		return err
	}
	s.sites.Store(sites)
	s.origins.Store(&l.CORSOrigins)
	s.proxies.Store(&l.TrustedProxies)
	s.gate.SetLimit(l.MaxInFlight)
	if old := s.limiter.Load(); old == nil || !old.Is(l.Rate, l.Burst) {
		s.limiter.Store(limit.NewLimiter(l.Rate, l.Burst, s.options.Now))
	}
	return nil
}

// InFlight returns the number of running requests.
func (s *Server) InFlight() int { return s.gate.Inside() }

// Drain asks clients to close their connections after the next response, so that none is cut off at shutdown.
func (s *Server) Drain() { s.drain.Store(true) }

// route describes a route.
type route struct {
	pattern      string // of the mux; "" for requests that match no route
	method, path string // the pattern's parts, for logs, metrics and traces
	operation    *api.Operation
}

// router registers the handlers of the generated code as routes.
type router struct {
	*Server
	operations map[string]*api.Operation
}

// HandleFunc implements the generated ServeMux interface.
func (r router) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	r.handle(pattern, r.operations[pattern], handler)
}

func (s *Server) handle(pattern string, operation *api.Operation, handler http.HandlerFunc) {
	rt := &route{pattern: pattern, method: "any", path: "unmatched", operation: operation}
	if pattern == "" {
		s.unmatched = s.chain(rt, handler)
		s.mux.Handle("/", s.unmatched)
		return
	}
	rt.method, rt.path, _ = strings.Cut(pattern, " ")
	s.mux.Handle(pattern, s.chain(rt, handler))
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path.Clean(r.URL.Path) != r.URL.Path { // the mux would redirect it, bypassing the chain
		s.unmatched.ServeHTTP(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

var notFound = &problem{status: http.StatusNotFound, detail: "No such resource."}

// answerUnmatched responds to requests that match no route: 404, or 405 if another method would match.
func (s *Server) answerUnmatched(w http.ResponseWriter, r *http.Request) {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPatch, http.MethodPost} {
		other := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := s.mux.Handler(other); pattern != "/" && path.Clean(r.URL.Path) == r.URL.Path {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil {
		answerError(w, r, notFound)
		return
	}
	if allowed[0] == http.MethodGet {
		allowed = slices.Insert(allowed, 1, http.MethodHead)
	}
	methods := strings.Join(allowed, ", ")
	w.Header().Set("Allow", methods)
	answerError(w, r, &problem{status: http.StatusMethodNotAllowed, detail: "Allowed methods: " + methods + "."})
}

func answerError(w http.ResponseWriter, _ *http.Request, err error) { recordOf(w).fail(err) }

func serveContract(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(api.Contract) // an error means that the client has gone
}
