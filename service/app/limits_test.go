package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"gitlab.com/slipway-ci/slipway/service/api"
	"gitlab.com/slipway-ci/slipway/service/testlog"
)

func TestOverload(t *testing.T) {
	t.Parallel()
	i := start(t, settings{"HTTP_MAX_IN_FLIGHT": "2"})
	wantStatus(t, i.do(t, http.MethodPut, i.admin+"/faults", `{"delay":"50s","delay_ratio":1}`), http.StatusNoContent)
	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer leave()
	for range 2 {
		all.Go(func() {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, i.url+"/v1/orders", nil)
			if err == nil {
				_, err = i.client.Do(r) //nolint:bodyclose // it does not come to a body
			}
			if !errors.Is(err, context.Canceled) {
				t.Errorf("a request that waits: %v", err)
			}
		})
	}
	testlog.Eventually(t, "two running requests", func() bool { return strings.Contains(i.probe(t, "/metrics").body, "http_requests_in_flight 2") })
	a := i.get(t, "/v1/orders")
	wantStatus(t, a, http.StatusServiceUnavailable)
	if a.problem(t).Type != "urn:problem:orders:overload" || a.header.Get("Retry-After") != "1" {
		t.Errorf("overload: %v %s", a.header, a.body)
	}
	if !strings.Contains(i.probe(t, "/metrics").body, `http_requests_refused_total{reason="overload"} 1`) {
		t.Error("the refusal is not in the metrics")
	}
}

// TestConnections holds more connections open than there may be: the longest idle ones are closed, and clients are served.
func TestConnections(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	certificateFor(t, cert, key, 1)
	for name, s := range map[string]settings{"plain": {}, "TLS": {"HTTP_TLS_CERT": cert, "HTTP_TLS_KEY": key}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s["HTTP_MAX_CONNECTIONS"] = "16"
			i := start(t, s)
			i.client.Transport.(*validator).next.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // #nosec G402 -- the test's own certificate
			for range 40 {
				conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", i.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
			}
			wantStatus(t, i.get(t, "/v1/orders"), http.StatusOK)
			testlog.Eventually(t, "a bounded number", func() bool {
				for line := range strings.Lines(i.probe(t, "/metrics").body) {
					var n int
					if _, err := fmt.Sscanf(line, "http_connections %d", &n); err == nil {
						return n > 0 && n <= 16
					}
				}
				return false
			})
		})
	}
}

// TestBodyEnds sends only the beginning of a body: the client gets 400, and the order is not placed.
func TestBodyEnds(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", i.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // the test is over
	if _, err := io.WriteString(conn, "POST /v1/orders HTTP/1.1\r\nHost: orders\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 400 ") || !strings.Contains(string(b), "could not be read to its end") || !strings.Contains(string(b), "Connection: close") {
		t.Errorf("%v: %s", err, b)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	i := start(t, settings{"HTTP_TIMEOUT": "3s"}) // in which a busy machine can place the order
	id := i.place(t).Id
	wantStatus(t, i.do(t, http.MethodPut, i.admin+"/faults", `{"delay":"4s","delay_ratio":1}`), http.StatusNoContent)
	a := i.get(t, "/v1/orders")
	wantStatus(t, a, http.StatusServiceUnavailable)
	if p := a.problem(t); !strings.Contains(*p.Detail, "too long") {
		t.Errorf("timeout: %s", a.body)
	}
	wantStatus(t, i.do(t, http.MethodPost, "/v1/orders/"+id+"/pay", ""), http.StatusOK) // has a time limit of its own
}

func TestFaults(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	wantStatus(t, i.do(t, http.MethodPut, i.admin+"/faults", `{"error_ratio":1}`), http.StatusNoContent)
	if got := i.probe(t, "/faults").body; !strings.Contains(got, `"error_ratio":1`) {
		t.Errorf("faults: %s", got)
	}
	a := i.get(t, "/v1/orders")
	wantStatus(t, a, http.StatusInternalServerError)
	if p := a.problem(t); !strings.Contains(*p.Detail, "rehearsal") {
		t.Errorf("fault: %s", a.body)
	}
	wantStatus(t, i.do(t, http.MethodDelete, i.admin+"/faults", ""), http.StatusNoContent)
	wantStatus(t, i.get(t, "/v1/orders"), http.StatusOK)
	for body, want := range map[string]int{`{`: 400, `{"x":1}`: 400, `{"error_ratio":2}`: 422, `{"delay":"-1s"}`: 422, `{"delay":"soon"}`: 422} {
		t.Run(body, func(t *testing.T) {
			wantStatus(t, i.do(t, http.MethodPut, i.admin+"/faults", body), want)
		})
	}
}

func TestAPIKeys(t *testing.T) {
	t.Parallel()
	const reader, all = "reader-0123456789", "all-0123456789abc"
	i := start(t, settings{"HTTP_ADDR": ":0", "API_KEYS": "reader " + reader + " orders:read\nshop " + all + " orders:read,orders:write,orders:pay"})
	i.url = strings.Replace(i.url, "[::]", "127.0.0.1", 1)
	id := i.place(t, "X-API-Key", all).Id
	operations, err := api.Operations()
	if err != nil {
		t.Fatal(err)
	}
	for pattern, op := range operations {
		method, path, _ := strings.Cut(pattern, " ")
		path = strings.Replace(path, "{id}", id, 1)
		a := i.do(t, method, path, "")
		if wantStatus(t, a, http.StatusUnauthorized); !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: WWW-Authenticate %q", pattern, a.header.Get("WWW-Authenticate"))
		}
		a.problem(t)
		wantStatus(t, i.do(t, method, path, "", "X-API-Key", "wrong-0123456789a"), http.StatusUnauthorized)
		wantStatus(t, i.do(t, method, path, "", "Authorization", "Bearer x.y.z"), http.StatusUnauthorized)
		a = i.do(t, method, path, "", "X-API-Key", reader)
		if want := op.Scopes[0] != "orders:read"; (a.status == http.StatusForbidden) != want {
			t.Errorf("%s with the scope orders:read: %d", pattern, a.status)
		}
		if a = i.do(t, method, path, "", "X-API-Key", all); a.status == http.StatusForbidden || a.status == http.StatusUnauthorized {
			t.Errorf("%s with all scopes: %d", pattern, a.status)
		}
	}
	// The page is for browsers, which ask for a password.
	if a := i.get(t, "/"); a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Basic") {
		t.Errorf("page: %d %q", a.status, a.header.Get("WWW-Authenticate"))
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth("", reader)
	wantStatus(t, i.get(t, "/", "Authorization", r.Header.Get("Authorization")), http.StatusOK)
	wantStatus(t, i.get(t, "/openapi.yaml"), http.StatusOK)
	i.log.Wait(t, `"client":"reader"`)
	if strings.Contains(i.log.String(), reader) {
		t.Error("a key is in the log")
	}
}

// TestKeysOfClients shows that two clients may use the same idempotency key.
func TestKeysOfClients(t *testing.T) {
	t.Parallel()
	i := start(t, settings{"API_KEYS": "a key-of-a-01234567 orders:write\nb key-of-b-01234567 orders:write"})
	first := i.place(t, "X-API-Key", "key-of-a-01234567", "Idempotency-Key", "1")
	second := i.place(t, "X-API-Key", "key-of-b-01234567", "Idempotency-Key", "1")
	if first.Id == second.Id {
		t.Error("a client got the order of another one")
	}
}

// TestClientsBehindProxy shows that clients of a trusted proxy are limited one by one, IPv6 networks as one client, and that a header of
// anybody else changes nothing.
func TestClientsBehindProxy(t *testing.T) {
	t.Parallel()
	limits := settings{"RATE_LIMIT": "0.001", "RATE_BURST": "1"}
	for name, test := range map[string]struct {
		trusted string
		clients []string // X-Forwarded-For of one request each
		want    []int
	}{
		"a trusted proxy": {"127.0.0.0/8, ::1/128", []string{"198.51.100.1", "198.51.100.2", "203.0.113.7, 198.51.100.1", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"},
			[]int{200, 200, 429, 200, 429, 200}},
		"nobody is trusted": {"", []string{"198.51.100.1", "198.51.100.2"}, []int{200, 429}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := maps.Clone(limits)
			s["HTTP_TRUSTED_PROXIES"] = test.trusted
			i := start(t, s)
			for n, client := range test.clients {
				if got := i.get(t, "/v1/orders", "X-Forwarded-For", client).status; got != test.want[n] {
					t.Errorf("request %d, from %s: %d, want %d", n, client, got, test.want[n])
				}
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	id := i.place(t, "Idempotency-Key", "k").Id
	i.place(t, "Idempotency-Key", "k") // the same one
	wantStatus(t, i.do(t, http.MethodPost, "/v1/orders", strings.Replace(basket, "ann", "eve", 1), "Idempotency-Key", "k"), http.StatusUnprocessableEntity)
	wantStatus(t, i.do(t, http.MethodPost, "/v1/orders/"+id+"/pay", ""), http.StatusOK)
	wantStatus(t, i.get(t, "/v1/orders/"+id), http.StatusOK)
	wantStatus(t, i.get(t, "/nope/"+id), http.StatusNotFound)
	a := i.probe(t, "/metrics")
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"http_requests_total", "http_request_duration_seconds", "payment_duration_seconds", "build_info",
		"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total", "go_goroutines", "go_gc_gomemlimit_bytes"} {
		if families[name] == nil || families[name].GetHelp() == "" {
			t.Errorf("%s is missing, or has no help", name)
		}
	}
	for _, line := range []string{`http_requests_total{code="200",method="GET",route="/v1/orders/{id}"} 1`,
		`http_requests_total{code="404",method="any",route="unmatched"} 1`, `orders_total{status="paid"} 1`,
		`payment_duration_seconds_count{outcome="paid"} 1`, `build_info{commit="abc123",go="`, `le="0.8"`, `database_connections_max 5`,
		`database_query_duration_seconds_count{operation="create",result="ok"} 3`, `idempotency_keys_total{result="stored"} 1`,
		`idempotency_keys_total{result="replayed"} 1`, `idempotency_keys_total{result="reused"} 1`, `reconcile_unsettled_orders 0`,
		`database_connections_in_use 0`, `database_connection_waits_total `, `database_connection_wait_seconds_total `} {
		if !strings.Contains(a.body, line) {
			t.Errorf("%s is missing", line)
		}
	}
	if strings.Contains(a.body, id) {
		t.Error("an id is in the metrics: labels must be few")
	}
}

// onlyRecorder waits until the test may use the flight recorder, of which a process has one. Call it before the instance starts.
func onlyRecorder(t *testing.T) {
	t.Helper()
	recorder.Lock()
	t.Cleanup(recorder.Unlock)
}

var recorder sync.Mutex

// TestAdminIndex follows the links of the admin port's index.
func TestAdminIndex(t *testing.T) {
	t.Parallel()
	onlyRecorder(t)
	i := start(t, nil)
	a := i.probe(t, "/")
	if wantStatus(t, a, http.StatusOK); a.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("Content-Type %s", a.header.Get("Content-Type"))
	}
	links := regexp.MustCompile(`href="([^"]+)"`).FindAllStringSubmatch(a.body, -1)
	for _, link := range links {
		if a := i.probe(t, link[1]); a.status != http.StatusOK && a.status != http.StatusAccepted {
			t.Errorf("%s answers %d", link[1], a.status)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/startupz", "/healthz", "/version", "/metrics", "/log/level", "/faults", "/debug/pprof/", "/debug/flight"} {
		if !strings.Contains(a.body, `href="`+path+`"`) {
			t.Errorf("the index does not list %s", path)
		}
	}
}

func TestDebug(t *testing.T) {
	t.Parallel()
	onlyRecorder(t)
	i := start(t, nil)
	if a := i.probe(t, "/debug/pprof/"); !strings.Contains(a.body, "goroutine?debug=1") {
		t.Errorf("profiles: %s", a.body)
	}
	if a := i.probe(t, "/debug/pprof/goroutine?debug=1"); !strings.Contains(a.body, "goroutine profile: total") {
		t.Errorf("goroutines: %.100s", a.body)
	}
	for path, want := range map[string]int{"/debug/pprof/heap": 200, "/debug/pprof/nope": 404, "/debug/pprof/profile?seconds=1": 200} {
		t.Run(path, func(t *testing.T) {
			wantStatus(t, i.probe(t, path), want)
		})
	}
	wantStatus(t, i.probe(t, "/debug/flight"), http.StatusAccepted)
	if a := i.probe(t, "/debug/flight"); !strings.HasPrefix(a.body, "go 1.") {
		t.Errorf("the recording begins with %.10q", a.body)
	}
	wantStatus(t, i.do(t, http.MethodPut, i.admin+"/log/level", `{"level":"error"}`), http.StatusOK)
	wantStatus(t, i.get(t, "/v1/orders", "X-Request-Id", "quiet"), http.StatusOK)
	wantStatus(t, i.do(t, http.MethodPut, i.admin+"/log/level", `{"level":"info"}`), http.StatusOK)
	wantStatus(t, i.get(t, "/v1/orders", "X-Request-Id", "loud"), http.StatusOK)
	i.log.Wait(t, `"request_id":"loud"`)
	if strings.Contains(i.log.String(), `"request_id":"quiet"`) {
		t.Error("the level has no effect")
	}
}

func TestPage(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	if a := i.get(t, "/"); !strings.Contains(a.body, "No orders yet") || !strings.Contains(a.body, "v1.2.3") {
		t.Errorf("empty page: %s", a.body)
	}
	o := i.place(t)
	a := i.get(t, "/", "Accept-Encoding", "identity")
	if !strings.Contains(a.body, o.Id) || !strings.Contains(a.body, "EUR\u00a03.00") {
		t.Errorf("page: %s", a.body)
	}
	if a = i.get(t, "/?status=paid"); strings.Contains(a.body, o.Id) {
		t.Error("the filter has no effect")
	}
}

// certificateFor writes a certificate for 127.0.0.1 with a serial number.
func certificateFor(t *testing.T, certFile, keyFile string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "orders"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

func TestTLS(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "tls.crt"), filepath.Join(folder, "tls.key")
	certificateFor(t, cert, key, 1)
	i := start(t, settings{"HTTP_TLS_CERT": cert, "HTTP_TLS_KEY": key})
	serial := func() (serial int64, proto string) {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true, DisableKeepAlives: true}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url+"/v1/orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Transport: transport}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close() //nolint:errcheck // it is not read
		if response.StatusCode != http.StatusOK || response.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%d %v", response.StatusCode, response.Header)
		}
		return response.TLS.PeerCertificates[0].SerialNumber.Int64(), response.Proto
	}
	if n, proto := serial(); n != 1 || proto != "HTTP/2.0" {
		t.Errorf("certificate %d over %s", n, proto)
	}
	certificateFor(t, cert, key, 2)
	testlog.Eventually(t, "the new certificate", func() bool { n, _ := serial(); return n == 2 })
	write(t, cert, "nonsense")
	if err := i.Reload(); err == nil {
		t.Error("an invalid certificate was loaded")
	}
	if n, _ := serial(); n != 2 {
		t.Errorf("after a failed reload the certificate is %d", n)
	}
}

func TestH2C(t *testing.T) {
	t.Parallel()
	for enabled, want := range map[bool]string{true: "HTTP/2.0", false: ""} {
		t.Run(fmt.Sprint(enabled), func(t *testing.T) {
			i := start(t, settings{"HTTP_H2C": strconv.FormatBool(enabled)})
			transport := &http.Transport{Protocols: new(http.Protocols)}
			transport.Protocols.SetUnencryptedHTTP2(true)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, i.url+"/v1/orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			proto := ""
			if response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Do(r); err == nil {
				proto = response.Proto
				_ = response.Body.Close()
			}
			transport.CloseIdleConnections()
			if proto != want {
				t.Errorf("h2c %v: %q", enabled, proto)
			}
		})
	}
}

// TestTraces follows a request through the service to the payment provider, and its spans to the collector.
func TestTraces(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var passedOn strings.Builder
	var spans []*tracepb.Span
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		body, err := io.ReadAll(r.Body)
		var request collectorpb.ExportTraceServiceRequest
		if err := errors.Join(err, proto.Unmarshal(body, &request)); err != nil {
			t.Error(err)
		}
		for _, resource := range request.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				spans = append(spans, scope.GetSpans()...)
			}
		}
	}))
	defer collector.Close()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		passedOn.WriteString(r.Header.Get("Traceparent") + " " + r.Header.Get("Tracestate") + " " + r.Header.Get("Authorization"))
		_, _ = io.WriteString(w, `{"id":"p-1"}`)
	}))
	defer provider.Close()
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "t0ken\n")
	i := start(t, settings{"TRACE_ENDPOINT": collector.URL, "TRACE_RATIO": "0", "PAYMENTS_URL": provider.URL, "PAYMENTS_TOKEN_FILE": token})
	id := i.place(t).Id // is not recorded
	const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	a := i.do(t, http.MethodPost, "/v1/orders/"+id+"/pay", "", "Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01", "Tracestate", "v=1")
	wantStatus(t, a, http.StatusOK)
	i.probe(t, "/readyz")
	if err := i.Stop(context.Background()); err != nil { // sends what is left
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if got := passedOn.String(); !strings.HasPrefix(got, "00-"+traceID+"-") || strings.Contains(got, "00f067aa0ba902b7") || !strings.HasSuffix(got, "-01 v=1 Bearer t0ken") {
		t.Errorf("the provider got %q", got)
	}
	seen := map[string]string{} // the attributes of a span, by its name
	for _, span := range spans {
		if hex.EncodeToString(span.GetTraceId()) != traceID {
			t.Errorf("the span %s belongs to another trace", span.GetName())
		}
		for _, a := range span.GetAttributes() {
			seen[span.GetName()] += fmt.Sprintf("%s=%s%d ", a.GetKey(), a.GetValue().GetStringValue(), a.GetValue().GetIntValue())
		}
	}
	for name, attributes := range map[string][]string{
		"POST /v1/orders/{id}/pay": {"http.request.method=POST0 ", "http.route=/v1/orders/{id}/pay0 ", "http.response.status_code=200 ", "server.address=127.0.0.10 "},
		"POST":                     {"server.address=127.0.0.10 ", "http.response.status_code=200 "},
		"sql.conn.query":           {"db.system.name=sqlite0 "},
	} {
		t.Run(name, func(t *testing.T) {
			for _, want := range attributes {
				if !strings.Contains(seen[name], want) {
					t.Errorf("the span %s has no %s: %s", name, want, seen[name])
				}
			}
		})
	}
	if !strings.Contains(i.log.String(), `"trace_id":"`+traceID+`"`) {
		t.Error("the trace is not in the log")
	}
}

// TestRejectedCharges shows that charges which the provider rejects do not prevent others: their orders end in a visible state, and can be
// cancelled.
func TestRejectedCharges(t *testing.T) {
	t.Parallel()
	var healthy atomic.Bool
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !healthy.Load() {
			w.WriteHeader(http.StatusBadRequest)
		}
		_, _ = io.WriteString(w, `{"id":"p-1"}`)
	}))
	defer provider.Close()
	i := start(t, settings{"PAYMENTS_URL": provider.URL, "PAYMENTS_RETRIES": "0"})
	const attempts = 12 // as many as open the circuit breaker if they counted
	for range attempts {
		path := "/v1/orders/" + i.place(t).Id
		a := i.do(t, http.MethodPost, path+"/pay", "")
		if wantStatus(t, a, http.StatusUnprocessableEntity); a.problem(t).Type != "urn:problem:orders:payment-rejected" {
			t.Errorf("problem: %s", a.body)
		}
		if o := i.get(t, path).order(t); o.Status != api.Rejected {
			t.Errorf("the order is %s", o.Status)
		}
		wantStatus(t, i.do(t, http.MethodPost, path+"/cancel", ""), http.StatusOK)
	}
	healthy.Store(true)
	wantStatus(t, i.do(t, http.MethodPost, "/v1/orders/"+i.place(t).Id+"/pay", ""), http.StatusOK)
	if a := i.get(t, "/"); !strings.Contains(a.body, "answers") {
		t.Errorf("the page does not show that the provider answers: %s", a.body)
	}
}

// TestProviderAway shows that a client gets 503 without details, and that the log has them.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	i := start(t, settings{"PAYMENTS_URL": "http://" + freeAddr(t), "PAYMENTS_RETRIES": "0"})
	self := "/v1/orders/" + i.place(t).Id
	a := i.do(t, http.MethodPost, self+"/pay", "")
	wantStatus(t, a, http.StatusServiceUnavailable)
	if p := a.problem(t); p.Type != "urn:problem:orders:payment-pending" || strings.Contains(a.body, "refused") {
		t.Errorf("problem: %s", a.body)
	}
	if o := i.get(t, self).order(t); o.Status != api.Paying {
		t.Errorf("the order is %s", o.Status)
	}
	i.log.Wait(t, "connection refused")
	for range 4 { // the breaker opens after five failures
		wantStatus(t, i.do(t, http.MethodPost, self+"/pay", ""), http.StatusServiceUnavailable)
	}
	metrics := i.probe(t, "/metrics").body
	for _, line := range []string{`payment_breaker_state{state="open"} 1`, `payment_breaker_state{state="closed"} 0`, `payment_duration_seconds_count{outcome="error"} 5`} {
		if !strings.Contains(metrics, line) {
			t.Errorf("%s is missing", line)
		}
	}
	if page := i.get(t, "/").body; !strings.Contains(page, "does not answer") {
		t.Error("the page does not show that the provider is unavailable")
	}
}

// TestDatabaseAway shows that a broken database is reported, without its error to clients.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	i := start(t, settings{"DATABASE_URL": "sqlite:" + path})
	wantStatus(t, i.get(t, "/v1/orders"), http.StatusOK)
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // the test is over
	if _, err := db.ExecContext(t.Context(), "PRAGMA busy_timeout=5000; DROP TABLE orders"); err != nil {
		t.Fatal(err)
	}
	testlog.Eventually(t, "an error", func() bool { return i.get(t, "/v1/orders").status >= http.StatusInternalServerError })
	a := i.get(t, "/v1/orders")
	if p := a.problem(t); strings.Contains(a.body, "SQL") || !strings.Contains(*p.Detail, "the log has the cause") {
		t.Errorf("problem: %s", a.body)
	}
	wantStatus(t, i.probe(t, "/readyz"), http.StatusServiceUnavailable)
	wantStatus(t, i.probe(t, "/livez"), http.StatusOK)
	wantStatus(t, i.probe(t, "/healthz"), http.StatusOK)
	if a := i.get(t, "/"); a.status != http.StatusInternalServerError {
		t.Errorf("page: %d", a.status)
	}
}
