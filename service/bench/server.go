package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/metric/noop"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"gitlab.com/slipway-ci/slipway/service/api"
	"gitlab.com/slipway-ci/slipway/service/httpapi"
	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/payments"
	"gitlab.com/slipway-ci/slipway/service/sqlite"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// Server and client run on a processor each, so that they do not share caches.
const (
	serverCPU = 0
	clientCPU = 1
)

// tracedRatio is the share of the requests that are recorded, the service's default.
const tracedRatio = 0.1

// orderID is the id of the order that is requested.
const orderID = "01a1fb9a-fe51-73c1-b5e5-35bd9d5446ca"

var moment = time.Date(2030, 1, 2, 12, 0, 0, 123456000, time.UTC)

var theOrder = order.Order{ID: orderID, Customer: "ann", Currency: "EUR", Note: "ring twice", Total: 700, Status: order.Pending,
	Items:   []order.LineItem{{SKU: "a-1", Quantity: 2, UnitPrice: 300}, {SKU: "b", Quantity: 1, UnitPrice: 100}},
	Version: 1, CreatedAt: moment, UpdatedAt: moment}

// oneOrder is a store of one order that costs nothing: the benchmark measures what the service adds, not the database.
type oneOrder struct{ order.Store }

func (oneOrder) Get(context.Context, string) (order.Order, error) { return theOrder, nil }

// pin restricts the process to a processor. If it was not yet, the process execs itself, since the runtime counts processors
// at start.
func pin(cpu int) error {
	var now, want unix.CPUSet
	if err := unix.SchedGetaffinity(0, &now); err != nil {
		return err
	}
	want.Set(cpu)
	if now == want {
		return nil
	}
	if err := unix.SchedSetaffinity(0, &want); err != nil {
		return nil //nolint:nilerr // no such processor: then they share one
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, os.Environ()) // #nosec G204 G702 -- this program itself
}

// beServer serves until standard input ends. It writes its address, and its CPU time for each line that it reads. If another
// program is given, it execs that instead.
func beServer(name string, program []string) error {
	if err := pin(serverCPU); err != nil {
		return err
	}
	if len(program) > 0 {
		return syscall.Exec(program[0], program, os.Environ()) // #nosec G204 -- built just now
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	handler, err := handlerOf(name, dir)
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- (&http.Server{Handler: handler, ReadHeaderTimeout: time.Second}).Serve(listener) }()
	fmt.Println(listener.Addr())
	for {
		var line string
		if _, err := fmt.Scanln(&line); err != nil {
			return nil
		}
		var usage syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
			return err
		}
		fmt.Println(usage.Utime.Nano() + usage.Stime.Nano())
		select {
		case err := <-failed:
			return err
		default:
		}
	}
}

func handlerOf(name, dir string) (http.Handler, error) {
	traces := telemetry.NoTraces()
	if strings.HasSuffix(name, "-traced") || strings.HasSuffix(name, "-otelhttp") {
		endpoint, err := startCollector()
		if err != nil {
			return nil, err
		}
		if traces, err = telemetry.NewTraces(context.Background(), telemetry.TraceOptions{Endpoint: endpoint, Ratio: tracedRatio,
			Failed: func(_ int, err error) { fmt.Fprintln(os.Stderr, err) }}); err != nil {
			return nil, err
		}
	}
	var store order.Store = oneOrder{}
	switch name {
	case "bare":
		return bare(), nil
	case "bare-otelhttp":
		return otelhttp.NewHandler(bare(), "bare", otelhttp.WithTracerProvider(traces), otelhttp.WithPropagators(traces.Propagator),
			otelhttp.WithMeterProvider(noop.NewMeterProvider())), nil
	case "orders", "orders-traced":
	case "orders-sqlite":
		s, err := fileStore(dir)
		if err != nil {
			return nil, err
		}
		store = s
	default:
		return nil, errors.New("there is no such server")
	}
	file, err := os.Create(filepath.Join(dir, "log")) // #nosec G304 -- in our own folder
	if err != nil {
		return nil, err
	}
	log, _ := telemetry.NewLogger(file, zap.NewAtomicLevel(), "json")
	metrics := telemetry.NewMetrics(telemetry.Build{})
	return httpapi.New(httpapi.Options{
		Orders: order.NewService(metrics.Store(store), payments.Simulator{}, metrics, time.Now), Traces: traces, Now: time.Now,
		Log: log, Metrics: metrics,
		MaxBody: 1 << 16, Timeout: time.Minute, PayTimeout: time.Minute, // the machine may be busy; CPU time does not mind
	}, httpapi.Limits{Rate: 1e9, Burst: 1e9, MaxInFlight: 256})
}

// startCollector starts a collector that accepts and discards all spans; it ends with the process.
func startCollector() (endpoint string, err error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	collector := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	go func() { _ = (&http.Server{Handler: collector, ReadHeaderTimeout: time.Second}).Serve(l) }()
	return "http://" + l.Addr().String(), nil
}

// bare is the minimal Go handler that responds with this JSON.
func bare() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/orders/{id}", func(w http.ResponseWriter, _ *http.Request) {
		o := api.Order{Id: theOrder.ID, Customer: theOrder.Customer, Currency: theOrder.Currency, Note: theOrder.Note, Total: theOrder.Total,
			Status: api.OrderStatus(theOrder.Status), Version: theOrder.Version, CreatedAt: theOrder.CreatedAt, UpdatedAt: theOrder.UpdatedAt,
			Items: make([]api.LineItem, len(theOrder.Items))}
		for i, item := range theOrder.Items {
			o.Items[i] = api.LineItem{Sku: item.SKU, Quantity: item.Quantity, UnitPrice: item.UnitPrice}
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(o)
	})
	return mux
}

func fileStore(dir string) (order.Store, error) {
	s, err := sqlite.Open(context.Background(), filepath.Join(dir, "orders.db"), telemetry.NoTraces())
	if err != nil {
		return nil, err
	}
	if _, err := s.Migrate(context.Background()); err != nil {
		return nil, err
	}
	if _, _, err := s.Create(context.Background(), theOrder, order.Key{}); err != nil {
		return nil, err
	}
	return s, nil
}
