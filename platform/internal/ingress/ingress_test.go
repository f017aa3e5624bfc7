package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// fill puts objects into a table, as the API server would.
func fill(t *testing.T, table *Table, documents ...string) {
	t.Helper()
	for _, document := range documents {
		var o struct{ Kind string }
		err := json.Unmarshal([]byte(document), &o)
		put := map[string]func([]byte) error{"Ingress": table.ingresses.Put, "Service": table.services.Put, "EndpointSlice": table.slices.Put}[o.Kind]
		if err != nil || put([]byte(document)) != nil {
			t.Fatalf("%v: %s", err, document)
		}
	}
	table.refresh()
}

const shopService = `{"kind": "Service", "metadata": {"namespace": "shop", "name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]}}`

func shopIngress(rules string) string {
	return `{"kind": "Ingress", "metadata": {"namespace": "shop", "name": "web"}, "spec": {"ingressClassName": "slipway", "rules": [` + rules + `]}}`
}

func hostRule(host, path, kind, port string) string {
	return fmt.Sprintf(`{"host": %q, "http": {"paths": [{"path": %q, "pathType": %q, "backend": {"service": {"name": "web", "port": %s}}}]}}`, host, path, kind, port)
}

func shopSlice(name string, endpoints string) string {
	return `{"kind": "EndpointSlice", "metadata": {"namespace": "shop", "name": "` + name + `", "labels": {"kubernetes.io/service-name": "web"}},
"ports": [{"name": "http", "port": 8080}, {"name": "admin", "port": 9090}], "endpoints": [` + endpoints + `]}`
}

func TestLookup(t *testing.T) {
	t.Parallel()
	table := NewTable("slipway")
	fill(t, table, shopService, shopSlice("a", `{"addresses": ["10.0.0.1"]}`), shopIngress(strings.Join([]string{
		hostRule("shop.example", "/", "Prefix", `{"number": 80}`),
		hostRule("shop.example", "/admin", "Prefix", `{"name": "admin"}`),
		hostRule("shop.example", "/admin/exact", "Exact", `{"name": "http"}`),
		hostRule("*.example", "/", "Prefix", `{"name": "admin"}`),
		hostRule("broken.test", "/", "Prefix", `{"name": "nothing"}`),
	}, ",")))
	for _, test := range []struct{ name, host, path, want string }{
		{"prefix", "shop.example", "/orders", "10.0.0.1:8080"},
		{"host in capitals", "SHOP.example", "/", "10.0.0.1:8080"},
		{"the longest prefix", "shop.example", "/admin/x", "10.0.0.1:9090"},
		{"the prefix itself", "shop.example", "/admin", "10.0.0.1:9090"},
		{"a prefix ends at a slash", "shop.example", "/administer", "10.0.0.1:8080"},
		{"exact before prefix", "shop.example", "/admin/exact", "10.0.0.1:8080"},
		{"wildcard", "other.example", "/", "10.0.0.1:9090"},
		{"a wildcard is one label", "a.b.example", "/", ""},
		{"a wildcard is at least one label", "example", "/", ""},
		{"unknown host", "nowhere.test", "/", ""},
		{"a port that the service does not have", "broken.test", "/", "none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if r := table.current.Load().lookup(test.host, test.path); r != nil {
				got = "none"
				if len(r.backends) > 0 {
					got = r.backends[0]
				}
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestOnlyReadyEndpointsOfOwnClassAndNamespace(t *testing.T) {
	t.Parallel()
	table := NewTable("slipway")
	foreign := strings.Replace(shopIngress(hostRule("foreign.test", "/", "Prefix", `{"number": 80}`)), `"name": "web"}, "spec"`, `"name": "foreign"}, "spec"`, 1)
	fill(t, table, shopService,
		shopSlice("a", `{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}, {"addresses": ["10.0.0.2"], "conditions": {"ready": false}}`),
		shopSlice("b", `{"addresses": ["10.0.0.3"]}`),
		strings.Replace(shopSlice("c", `{"addresses": ["10.0.0.4"]}`), `"namespace": "shop"`, `"namespace": "other"`, 1),
		shopIngress(hostRule("shop.example", "/", "Prefix", `{"number": 80}`)),
		strings.Replace(foreign, `"ingressClassName": "slipway"`, `"ingressClassName": "nginx"`, 1))
	s := table.current.Load()
	if got := strings.Join(s.lookup("shop.example", "/").backends, " "); got != "10.0.0.1:8080 10.0.0.3:8080" {
		t.Errorf("backends %s", got)
	}
	if r := s.lookup("foreign.test", "/"); r != nil {
		t.Errorf("an ingress of another class is served: %v", r)
	}
}

// proxyTo routes shop.example to the addresses of servers.
func proxyTo(t *testing.T, dial Dial, addresses ...string) *Proxy {
	t.Helper()
	var endpoints []string
	for i := range addresses {
		endpoints = append(endpoints, fmt.Sprintf(`{"addresses": ["10.0.0.%d"]}`, i+1))
	}
	table := NewTable("slipway")
	fill(t, table, shopService, shopSlice("a", strings.Join(endpoints, ",")), shopIngress(hostRule("shop.example", "/", "Prefix", `{"number": 80}`)))
	if dial == nil {
		dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			var n int
			if _, err := fmt.Sscanf(address, "10.0.0.%d:8080", &n); err != nil {
				return nil, err
			}
			return (&net.Dialer{}).DialContext(ctx, network, addresses[n-1])
		}
	}
	return NewProxy(table, dial)
}

func request(t *testing.T, h http.Handler, method, host, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.Host = host
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestProxyRetriesWhatWasNotSent(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, "got ", string(b), " for ", r.Host, " from ", r.Header.Get("X-Forwarded-Host"))
	}))
	t.Cleanup(server.Close)
	const nobody = "127.0.0.1:1"
	p := proxyTo(t, nil, nobody, server.Listener.Addr().String(), nobody)
	for range 6 { // whoever's turn it is
		code, body := request(t, p, http.MethodPost, "shop.example", "an order")
		if code != http.StatusOK || body != "got an order for shop.example from shop.example" {
			t.Errorf("%d %s", code, body)
		}
	}
}

func TestProxyNeverRepeatsAnOrder(t *testing.T) {
	t.Parallel()
	var seen atomic.Int64
	// The server takes the request and dies before it answers.
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		seen.Add(1)
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(server.Close)
	address := server.Listener.Addr().String()
	p := proxyTo(t, nil, address, address, address)
	if code, _ := request(t, p, http.MethodPost, "shop.example", "an order"); code != http.StatusBadGateway || seen.Load() != 1 {
		t.Errorf("POST: %d, seen %d times", code, seen.Load())
	}
	seen.Store(0)
	if code, _ := request(t, p, http.MethodGet, "shop.example", ""); code != http.StatusBadGateway || seen.Load() < 3 {
		t.Errorf("GET: %d, seen %d times, want each of three endpoints asked", code, seen.Load())
	}
}

func TestProxySharesOut(t *testing.T) {
	t.Parallel()
	var counts [3]atomic.Int64
	var addresses []string
	for i := range counts {
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { counts[i].Add(1) }))
		t.Cleanup(s.Close)
		addresses = append(addresses, s.Listener.Addr().String())
	}
	p := proxyTo(t, nil, addresses...)
	for range 30 {
		request(t, p, http.MethodGet, "shop.example", "")
	}
	for i := range counts {
		if n := counts[i].Load(); n != 10 {
			t.Errorf("endpoint %d has %d of 30 requests", i, n)
		}
	}
}

func TestProxySaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	refused := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Err: errors.Join(syscall.ECONNREFUSED)}
	}
	for _, test := range []struct {
		name, host string
		proxy      *Proxy
		code       int
		want       string
	}{
		{"unknown host", "nowhere.test", proxyTo(t, refused, "x"), http.StatusNotFound, "Known hosts: shop.example"},
		{"nothing yet", "shop.example", NewProxy(NewTable("slipway"), refused), http.StatusNotFound, "no Ingress of class slipway"},
		{"no endpoint", "shop.example", proxyTo(t, refused), http.StatusServiceUnavailable, "service shop/web has no ready endpoint"},
		{"all refuse", "shop.example", proxyTo(t, refused, "x"), http.StatusBadGateway, "connection refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, body := request(t, test.proxy, http.MethodGet, test.host, "")
			if code != test.code || !strings.Contains(body, test.want) {
				t.Errorf("%d %s, want %d %s", code, body, test.code, test.want)
			}
		})
	}
}

func TestKeepClosesConnectionsToWhoIsGone(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	p := proxyTo(t, nil, server.Listener.Addr().String())
	request(t, p, http.MethodGet, "shop.example", "")
	p.Keep(map[string]bool{"10.0.0.1:8080": true})
	select {
	case <-closed:
		t.Fatal("closed while the endpoint is there")
	default:
	}
	p.Keep(nil)
	<-closed
}
