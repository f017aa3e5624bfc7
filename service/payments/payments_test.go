package payments_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.uber.org/goleak"

	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/payments"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var charge = order.Charge{Key: "id/1", Customer: "ann", Amount: 300, Currency: "EUR"}

func TestSimulator(t *testing.T) {
	t.Parallel()
	var s payments.Simulator
	first, err := s.Charge(t.Context(), charge)
	again, _ := s.Charge(t.Context(), charge)
	if err != nil || first == "" || first != again {
		t.Errorf("%q and %q, %v", first, again, err)
	}
	other := charge
	other.Key = "id/2"
	if id, _ := s.Charge(t.Context(), other); id == first {
		t.Error("another key has the same payment")
	}
	other.Amount = payments.SimulatorLimit + 1
	if _, err := s.Charge(t.Context(), other); !errors.Is(err, order.ErrDeclined) {
		t.Errorf("above the limit: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if cancel(); func() bool { _, err := s.Charge(ctx, charge); return err == nil }() {
		t.Error("a cancelled charge was made")
	}
}

// provider is a payment provider with configured responses; the last one is repeated.
type provider struct {
	*httptest.Server
	mu      sync.Mutex
	answers []func(http.ResponseWriter, *http.Request)
	calls   []*http.Request
	bodies  []string
}

func newProvider(t *testing.T, answers ...func(http.ResponseWriter, *http.Request)) *provider {
	t.Helper()
	p := &provider{answers: answers}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		p.mu.Lock()
		answer := p.answers[min(len(p.calls), len(p.answers)-1)]
		p.calls, p.bodies = append(p.calls, r), append(p.bodies, string(b))
		p.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.calls)
}

func status(code int, body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func hang(_ http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(10 * time.Second):
	}
}

func (p *provider) client(t *testing.T, change func(*payments.Options)) *payments.Client {
	t.Helper()
	o := payments.Options{URL: p.URL + "/charges", Token: "t0ken", Timeout: 5 * time.Second, Retries: 2, Traces: telemetry.NoTraces(),
		Breaker: func(string, []string) {}}
	if change != nil {
		change(&o)
	}
	c := payments.NewClient(o)
	t.Cleanup(c.Close)
	return c
}

func TestCharge(t *testing.T) {
	t.Parallel()
	p := newProvider(t, status(http.StatusCreated, `{"id":"p-1","more":true}`))
	id, err := p.client(t, nil).Charge(t.Context(), charge)
	if err != nil || id != "p-1" {
		t.Errorf("Charge = %q, %v", id, err)
	}
	h := p.calls[0].Header
	if p.calls[0].Method != http.MethodPost || p.calls[0].URL.Path != "/charges" || h.Get("Idempotency-Key") != "id/1" || h.Get("Authorization") != "Bearer t0ken" {
		t.Errorf("%s %s %v", p.calls[0].Method, p.calls[0].URL, h)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(p.bodies[0]), &body); err != nil || body["amount"] != 300.0 || body["currency"] != "EUR" || body["customer"] != "ann" {
		t.Errorf("body %s", p.bodies[0])
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	ok := status(http.StatusOK, `{"id":"p-1"}`)
	for name, test := range map[string]struct {
		answers  []func(http.ResponseWriter, *http.Request)
		calls    int
		declined bool
		fails    string
	}{
		"declined is an answer":        {[]func(http.ResponseWriter, *http.Request){status(402, "")}, 1, true, ""},
		"a bad day, then well":         {[]func(http.ResponseWriter, *http.Request){status(503, ""), status(429, ""), ok}, 3, false, ""},
		"a bad day":                    {[]func(http.ResponseWriter, *http.Request){status(500, "")}, 3, false, "500"},
		"our mistake is not repeated":  {[]func(http.ResponseWriter, *http.Request){status(400, "")}, 1, false, "rejected the charge: the payment provider responded with 400"},
		"an answer that is no JSON":    {[]func(http.ResponseWriter, *http.Request){status(200, "thanks")}, 1, false, "read the payment provider's response"},
		"an answer without an id":      {[]func(http.ResponseWriter, *http.Request){status(200, "{}")}, 1, false, "has no id"},
		"a connection that breaks off": {[]func(http.ResponseWriter, *http.Request){func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ok}, 2, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProvider(t, test.answers...)
			id, err := p.client(t, nil).Charge(t.Context(), charge)
			switch {
			case test.declined != errors.Is(err, order.ErrDeclined):
				t.Errorf("Charge = %q, %v", id, err)
			case !test.declined && test.fails == "" && (err != nil || id != "p-1"):
				t.Errorf("Charge = %q, %v", id, err)
			case test.fails != "" && (err == nil || !strings.Contains(err.Error(), test.fails)):
				t.Errorf("Charge = %q, %v; want %q", id, err, test.fails)
			}
			if n := p.count(); n != test.calls {
				t.Errorf("%d calls, want %d", n, test.calls)
			}
			for _, c := range p.calls {
				if c.Header.Get("Idempotency-Key") != "id/1" {
					t.Error("a repetition has another key")
				}
			}
		})
	}
}

func TestCallTimeout(t *testing.T) {
	t.Parallel()
	p := newProvider(t, hang, status(http.StatusOK, `{"id":"p-1"}`))
	c := p.client(t, func(o *payments.Options) { o.Timeout = time.Second })
	if id, err := c.Charge(t.Context(), charge); err != nil || id != "p-1" {
		t.Errorf("Charge = %q, %v: a call that hangs was not repeated", id, err)
	}
}

func TestClientGoesWhileWaiting(t *testing.T) {
	t.Parallel()
	p := newProvider(t, status(http.StatusServiceUnavailable, ""))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	c := p.client(t, func(o *payments.Options) { o.Retries = 10 })
	if _, err := c.Charge(ctx, charge); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want DeadlineExceeded", err)
	}
}

// TestBreaker shows that a provider that is down gets no more calls.
func TestBreaker(t *testing.T) {
	t.Parallel()
	p := newProvider(t, status(http.StatusServiceUnavailable, ""))
	c := p.client(t, func(o *payments.Options) { o.Retries = 0 })
	for range 5 {
		_, _ = c.Charge(t.Context(), charge)
	}
	if _, err := c.Charge(t.Context(), charge); !errors.Is(err, gobreaker.ErrOpenState) || p.count() != 5 {
		t.Errorf("%v after %d calls", err, p.count())
	}
}

// TestBudget shows that retries do not multiply the load when all calls fail.
func TestBudget(t *testing.T) {
	t.Parallel()
	declined := 0
	p := newProvider(t, func(w http.ResponseWriter, _ *http.Request) {
		if declined++; declined%4 == 0 { // so that the breaker stays closed
			w.WriteHeader(http.StatusPaymentRequired)
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	c := p.client(t, func(o *payments.Options) { o.Retries = 1 })
	const charges = 100
	for range charges {
		_, _ = c.Charge(t.Context(), charge)
	}
	if extra := p.count() - charges; extra < 10 || extra > 10+charges/10+1 {
		t.Errorf("%d charges made %d repetitions", charges, extra)
	}
}

// TestRejectedChargesDoNotTrip shows that charges which the provider rejects do not open the breaker.
func TestRejectedChargesDoNotTrip(t *testing.T) {
	t.Parallel()
	p := newProvider(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Idempotency-Key") == "poison" {
			w.WriteHeader(http.StatusUnprocessableEntity)
			return
		}
		_, _ = io.WriteString(w, `{"id":"p-1"}`)
	})
	c := p.client(t, nil)
	poison := charge
	poison.Key = "poison"
	for range 20 {
		if _, err := c.Charge(t.Context(), poison); !errors.Is(err, order.ErrRejected) {
			t.Fatalf("a rejected charge: %v", err)
		}
	}
	if id, err := c.Charge(t.Context(), charge); err != nil || id != "p-1" || c.State() != "closed" {
		t.Errorf("after rejected charges: %q, %v, the breaker is %s", id, err, c.State())
	}
}
