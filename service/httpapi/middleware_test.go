package httpapi_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"gitlab.com/slipway-ci/slipway/service/httpapi"
	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/payments"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// getStore is a store whose Get a test controls.
type getStore struct {
	order.Store
	get func(context.Context) (order.Order, error)
}

func (s getStore) Get(ctx context.Context, _ string) (order.Order, error) { return s.get(ctx) }

func serverOver(get func(context.Context) (order.Order, error), limits httpapi.Limits) (s *httpapi.Server, log *bytes.Buffer, stop func() error) {
	log = new(bytes.Buffer)
	logger, stop := telemetry.NewLogger(log, zap.NewAtomicLevel(), "json")
	metrics := telemetry.NewMetrics(telemetry.Build{})
	if limits.MaxInFlight == 0 {
		limits.MaxInFlight = 10
	}
	s, err := httpapi.New(httpapi.Options{
		Orders: order.NewService(getStore{get: get}, payments.Simulator{}, metrics, time.Now), Now: time.Now, Traces: telemetry.NoTraces(), Metrics: metrics, Log: logger,
		MaxBody: 1 << 16, Timeout: 5 * time.Second, PayTimeout: 15 * time.Second,
	}, limits)
	if err != nil {
		panic(err)
	}
	return s, log, stop
}

func get(ctx context.Context, s *httpapi.Server) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/orders/"+theOrder.ID, nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestPanic(t *testing.T) {
	t.Parallel()
	s, log, stop := serverOver(func(context.Context) (order.Order, error) { panic("a bug") }, httpapi.Limits{})
	w := get(t.Context(), s)
	if w.Code != http.StatusInternalServerError || w.Header().Get("Content-Type") != "application/problem+json" || strings.Contains(w.Body.String(), "a bug") {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	for _, want := range []string{`"msg":"panic"`, `"value":"a bug"`, "middleware_test.go", `"msg":"request"`, `"status":500`} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%s is not in the log: %s", want, log)
		}
	}
}

func TestAbort(t *testing.T) {
	t.Parallel()
	s, _, stop := serverOver(func(context.Context) (order.Order, error) { panic(http.ErrAbortHandler) }, httpapi.Limits{})
	defer stop() //nolint:errcheck // a buffer
	defer func() {
		if v := recover(); v != http.ErrAbortHandler { //nolint:errorlint // as net/http does
			t.Errorf("recovered %v, want http.ErrAbortHandler: net/http closes the connection then", v)
		}
	}()
	get(t.Context(), s)
}

// TestTimeLimit shows that a request ends after exactly its limit.
func TestTimeLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, stop := serverOver(func(ctx context.Context) (order.Order, error) {
			<-ctx.Done()
			return order.Order{}, ctx.Err()
		}, httpapi.Limits{})
		begun := time.Now()
		w := get(t.Context(), s)
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("the request took %v", took)
		}
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		_ = stop()
	})
}

func TestClientGone(t *testing.T) {
	t.Parallel()
	s, log, stop := serverOver(func(ctx context.Context) (order.Order, error) { return order.Order{}, ctx.Err() }, httpapi.Limits{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w := get(ctx, s); w.Body.Len() > 0 {
		t.Errorf("a client that has disconnected got %s", w.Body)
	}
	_ = stop()
	if !strings.Contains(log.String(), `"status":499`) {
		t.Errorf("log: %s", log)
	}
}

// TestRate refills a bucket.
func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, stop := serverOver(func(context.Context) (order.Order, error) { return theOrder, nil }, httpapi.Limits{Rate: 0.5, Burst: 2})
		var codes []int
		for _, pause := range []time.Duration{0, 0, 0, time.Second, time.Second, time.Minute, 0, 0} {
			time.Sleep(pause)
			codes = append(codes, get(t.Context(), s).Code)
		}
		want := []int{200, 200, 429, 429, 200, 200, 200, 429}
		for i := range want {
			if codes[i] != want[i] {
				t.Fatalf("codes %v, want %v", codes, want)
			}
		}
		if got := get(t.Context(), s).Header().Get("Retry-After"); got != "2" {
			t.Errorf("Retry-After %s, want the two seconds that a token takes", got)
		}
		_ = stop()
	})
}
