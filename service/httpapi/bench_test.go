package httpapi_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"go.uber.org/zap"

	"gitlab.com/slipway-ci/slipway/service/httpapi"
	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/payments"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// oneOrder is a store without the cost of one: what is measured is what the handler adds.
type oneOrder struct{ order.Store }

var theOrder = order.Order{ID: "01a1fb9a-fe51-73c1-b5e5-35bd9d5446ca", Customer: "ann", Currency: "EUR", Total: 300,
	Items: []order.LineItem{{SKU: "a", Quantity: 2, UnitPrice: 150}}, Status: order.Pending, Version: 1}

func (oneOrder) Get(context.Context, string) (order.Order, error) { return theOrder, nil }

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

func newBenchServer(tb testing.TB) (*httpapi.Server, *http.Request) {
	tb.Helper()
	metrics := telemetry.NewMetrics(telemetry.Build{})
	log, stop := telemetry.NewLogger(io.Discard, zap.NewAtomicLevel(), "json")
	tb.Cleanup(func() { _ = stop() })
	s, err := httpapi.New(httpapi.Options{
		Orders: order.NewService(oneOrder{}, payments.Simulator{}, metrics, time.Now), Now: time.Now, Traces: telemetry.NoTraces(), Metrics: metrics,
		Log:     log,
		MaxBody: 1 << 16, Timeout: 5 * time.Second, PayTimeout: 15 * time.Second,
	}, httpapi.Limits{Rate: 1e9, Burst: 1e9, MaxInFlight: 256})
	if err != nil {
		tb.Fatal(err)
	}
	r, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "/v1/orders/"+theOrder.ID, nil)
	if err != nil {
		tb.Fatal(err)
	}
	r.RemoteAddr = "192.0.2.1:1234"
	return s, r
}

func BenchmarkGetOrder(b *testing.B) {
	s, r := newBenchServer(b)
	b.ReportAllocs()
	for b.Loop() {
		s.ServeHTTP(&discard{http.Header{}}, r)
	}
}
