package ingress

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"strings"
	"sync"
	"time"
)

// A Dial opens a connection inside of the cluster's network.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// A Proxy sends requests to the endpoints that a [Table] names.
type Proxy struct {
	table *Table
	dial  Dial
	proxy *httputil.ReverseProxy

	mu sync.Mutex
	// transports are per endpoint, so that the idle connections to one that goes away can be closed immediately.
	transports map[string]*http.Transport
}

// NewProxy returns a proxy that uses the table.
func NewProxy(table *Table, dial Dial) *Proxy {
	p := &Proxy{table: table, dial: dial, transports: map[string]*http.Transport{}}
	p.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetXForwarded()
			r.Out.Host = r.In.Host
			r.Out.URL.Scheme, r.Out.URL.Host = "http", r.In.Host
		},
		Transport:     p,
		FlushInterval: -1, // do not buffer events and streams
		ErrorLog:      log.New(os.Stderr, "", log.LstdFlags),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() != nil {
				return // the client has disconnected
			}
			fmt.Fprintf(os.Stderr, "%s %s%s: %v\n", r.Method, r.Host, r.URL.Path, err)
			http.Error(w, fmt.Sprintf("ingress: the service of %s does not answer: %v", r.Host, err), http.StatusBadGateway)
		},
	}
	return p
}

// ServeHTTP implements [http.Handler].
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := p.table.current.Load()
	route := s.lookup(hostname(r.Host), r.URL.Path)
	if route == nil {
		known := "There is no Ingress of class " + p.table.Class + " yet."
		if len(s.hosts) > 0 {
			known = "Known hosts: " + strings.Join(s.hosts, ", ")
		}
		http.Error(w, fmt.Sprintf("ingress: no rule for host %q and path %q. %s", hostname(r.Host), r.URL.Path, known), http.StatusNotFound)
		return
	}
	if len(route.backends) == 0 {
		w.Header().Set("Retry-After", "1")
		http.Error(w, fmt.Sprintf("ingress: service %s has no ready endpoint", route.service), http.StatusServiceUnavailable)
		return
	}
	p.proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), routeKey{}, route)))
}

type routeKey struct{}

func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

// RoundTrip sends the request to the next endpoint of the round robin and, if that fails, to others, provided that none has
// received it since no connection was established, or that it may be repeated (RFC 9110, section 9.2.2).
func (p *Proxy) RoundTrip(r *http.Request) (*http.Response, error) {
	route := r.Context().Value(routeKey{}).(*route)
	body := &unread{ReadCloser: r.Body}
	harmless := repeatable(r)
	var errs []error
	for _, address := range route.order() {
		out := r.Clone(r.Context())
		out.URL.Host = address
		if r.Body != nil && r.Body != http.NoBody {
			out.Body = body
		}
		// An idle connection may be closed by the other side in the moment in which it is used. A request that must not
		// be repeated gets a new connection.
		out.Close = !harmless && r.Header.Get("Upgrade") == ""
		resp, err := p.transport(address).RoundTrip(out)
		if err == nil {
			return resp, nil
		}
		errs = append(errs, err)
		var failed *net.OpError
		notSent := errors.As(err, &failed) && failed.Op == "dial"
		if r.Context().Err() != nil || body.begun || !notSent && !harmless {
			break
		}
	}
	return nil, errors.Join(errs...)
}

// repeatable reports whether a request may be sent again after it might have arrived.
func repeatable(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	case http.MethodPut, http.MethodDelete:
		return r.Body == nil || r.Body == http.NoBody
	}
	return false
}

// unread is a request's body that records whether any of it was read, and stays open for the next attempt; the
// server closes it.
type unread struct {
	io.ReadCloser
	begun bool
}

func (u *unread) Read(p []byte) (int, error) {
	u.begun = true
	return u.ReadCloser.Read(p)
}

func (u *unread) Close() error { return nil }

func (p *Proxy) transport(address string) *http.Transport {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, ok := p.transports[address]
	if !ok {
		t = &http.Transport{
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
				defer cancel()
				return p.dial(ctx, network, address)
			},
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     30 * time.Second,
			DisableCompression:  true,
		}
		p.transports[address] = t
	}
	return t
}

// Keep removes the endpoints that are not among the addresses and closes their idle connections; running requests finish
// normally.
func (p *Proxy) Keep(addresses map[string]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for address, t := range p.transports {
		if !addresses[address] {
			t.CloseIdleConnections()
			delete(p.transports, address)
		}
	}
}
