package telemetry_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestBuild(t *testing.T) {
	t.Parallel()
	if got, want := telemetry.NewBuild("v1", "abc"), (telemetry.Build{Version: "v1", Commit: "abc", Go: runtime.Version()}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := telemetry.NewBuild("", ""); got.Version == "" || got.Commit == "" {
		t.Errorf("without the linker's help: %+v", got)
	}
}

// unsyncable is a pipe: it can be written to, but not synced.
type unsyncable struct{ bytes.Buffer }

func (*unsyncable) Sync() error { return errors.New("invalid argument") }

func TestLog(t *testing.T) {
	t.Parallel()
	var out unsyncable
	level := zap.NewAtomicLevel()
	log, stop := telemetry.NewLogger(&out, level, "json")
	log.Debug("too low")
	log.Info("later", zap.Duration("d", time.Millisecond))
	if out.Len() > 0 {
		t.Errorf("written one by one: %s", out.String())
	}
	log.With(zap.String("k", "v")).Warn("at once")
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, `"d":1000000`) || !strings.Contains(got, `"msg":"at once","k":"v"`) {
		t.Errorf("after a warning: %s", got)
	}
	log.Info("the last")
	if err := stop(); err != nil || !strings.Contains(out.String(), "the last") || strings.Contains(out.String(), "too low") {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, stop := telemetry.NewLogger(&out, zap.NewAtomicLevel(), "console")
	log.Info("hello", zap.String("k", "v"))
	if err := stop(); err != nil || !strings.Contains(out.String(), "\tinfo\thello\t{\"k\": \"v\"}") {
		t.Errorf("%v: %s", err, out.String())
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := telemetry.NewMetrics(telemetry.Build{Version: "v1"})
	r := m.Route("/x", "GET")
	for _, status := range []int{200, 200, 404, 500, 500} {
		r.Observe(status, time.Second, trace.SpanContext{})
	}
	m.OrderReached(order.Paid)
	m.Charged("paid", time.Second)
	m.Refused("rate")
	m.Reloaded(errors.New("no"), time.Unix(5, 0))
	m.Reloaded(nil, time.Unix(7, 0))
	m.Reloaded(errors.New("no"), time.Unix(9, 0))
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body := w.Body.String()
	for _, want := range []string{`http_requests_total{code="200",method="GET",route="/x"} 2`, `{code="404",method="GET",route="/x"} 1`, `{code="500",method="GET",route="/x"} 2`, `http_request_duration_seconds_count{method="GET",route="/x"} 5`,
		`orders_total{status="paid"} 1`, `orders_total{status="declined"} 0`, `payment_duration_seconds_count{outcome="paid"} 1`, `http_requests_refused_total{reason="rate"} 1`,
		`config_reloads_total{result="failure"} 2`, `config_last_reload_success_timestamp_seconds 7`, `config_last_reload_successful 0`} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("%s is missing", want)
		}
	}
}
