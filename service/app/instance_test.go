package app_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"gitlab.com/slipway-ci/slipway/service/api"
	"gitlab.com/slipway-ci/slipway/service/app"
	"gitlab.com/slipway-ci/slipway/service/config"
	"gitlab.com/slipway-ci/slipway/service/pgtest"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
	"gitlab.com/slipway-ci/slipway/service/testlog"
)

func TestMain(m *testing.M) { pgtest.MainWithoutLeaks(m) }

// settings are environment variables without their prefix.
type settings map[string]string

// unset is the value of a setting that is not in the environment.
const unset = "\x00"

// instance is a whole service on ports that the system chose.
type instance struct {
	*app.App
	url, admin string
	client     *http.Client // validates what it gets against the contract
	log        *testlog.Buffer
}

// source returns a configuration for a test: ports that the system chooses, a database of its own, no drain delay, and time limits
// that a machine with little CPU time left keeps, too.
func source(t *testing.T, s settings) config.Source {
	t.Helper()
	all := settings{"HTTP_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "SHUTDOWN_DRAIN": "0s", "RATE_LIMIT": "0",
		"HTTP_TIMEOUT": "1m", "HTTP_PAY_TIMEOUT": "1m", "PAYMENTS_TIMEOUT": "30s",
		"DATABASE_URL": "sqlite:" + filepath.Join(t.TempDir(), "orders.db")}
	maps.Copy(all, s)
	var environ []string
	for name, value := range all {
		if value != unset {
			environ = append(environ, "ORDERS_"+name+"="+value)
		}
	}
	return config.Source{Environ: environ}
}

func newInstance(t *testing.T, s settings) *instance {
	t.Helper()
	log := new(testlog.Buffer)
	a, err := app.New(source(t, s), telemetry.NewBuild("v1.2.3", "abc123"), log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return &instance{App: a, log: log}
}

func start(t *testing.T, s settings) *instance {
	t.Helper()
	i := newInstance(t, s)
	if err := i.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	scheme := "http://"
	if s["HTTP_TLS_CERT"] != "" {
		scheme = "https://"
	}
	i.url, i.admin = scheme+i.Addr().String(), "http://"+i.AdminAddr().String()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	i.client = &http.Client{Transport: &validator{next: transport, t: t}, Timeout: testlog.Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := i.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return i
}

// contract is the OpenAPI document, loaded once.
var contract = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(api.Contract)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background()); err != nil {
		return nil, err
	}
	return gorillamux.NewRouter(doc)
})

// validator checks every answer to an operation of the contract against it.
type validator struct {
	next http.RoundTripper
	t    *testing.T
}

func (v *validator) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := v.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	router, err := contract()
	if err != nil {
		return nil, err
	}
	match := r.Clone(r.Context())
	match.URL.Scheme, match.URL.Host, match.Host = "", "", "" // the contract's server is "/"
	route, parameters, err := router.FindRoute(match)
	if err != nil { // not in the contract: the page, an unknown path
		return response, nil
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(body))
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: parameters, Route: route},
		Status:                 response.StatusCode, Header: response.Header,
		Body:    io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
	if err != nil {
		v.t.Errorf("%s %s breaks the contract: %v\n%s", r.Method, r.URL.Path, err, body)
	}
	return response, nil
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) decode(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
}

func (a answer) order(t *testing.T) api.Order {
	t.Helper()
	var o api.Order
	a.decode(t, &o)
	return o
}

func (a answer) problem(t *testing.T) api.Problem {
	t.Helper()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q, want a problem: %s", got, a.body)
	}
	var p api.Problem
	a.decode(t, &p)
	if p.Status != a.status {
		t.Errorf("the problem says %d, the status line %d", p.Status, a.status)
	}
	return p
}

// do makes a request; headers are names and values in turn.
func (i *instance) do(t *testing.T, method, target, body string, headers ...string) answer {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = i.url + target
	}
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, target, reader)
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", map[string]string{http.MethodPatch: "application/merge-patch+json"}[method])
		if r.Header.Get("Content-Type") == "" {
			r.Header.Set("Content-Type", "application/json")
		}
	}
	for pair := range slices.Chunk(headers, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	response, err := i.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	b, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(b)}
}

func (i *instance) get(t *testing.T, target string, headers ...string) answer {
	t.Helper()
	return i.do(t, http.MethodGet, target, "", headers...)
}

const basket = `{"customer":"ann","currency":"EUR","items":[{"sku":"a-1","quantity":2,"unit_price":150}]}`

// place places an order.
func (i *instance) place(t *testing.T, headers ...string) api.Order {
	t.Helper()
	a := i.do(t, http.MethodPost, "/v1/orders", basket, headers...)
	if a.status != http.StatusCreated {
		t.Fatalf("placing an order: %d %s", a.status, a.body)
	}
	return a.order(t)
}

func wantStatus(t *testing.T, a answer, want int) {
	t.Helper()
	if a.status != want {
		t.Errorf("status %d, want %d: %s", a.status, want, a.body)
	}
}
