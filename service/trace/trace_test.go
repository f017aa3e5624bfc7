package trace_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gitlab.com/slipway-ci/slipway/service/trace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestExtract(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		parent:                                  true,
		strings.TrimSuffix(parent, "01") + "00": true,
		"01" + parent[2:] + "-more":             true,
		"":                                      false,
		parent[1:]:                              false,
		parent + "-more":                        false,
		parent + "0":                            false,
		"ff" + parent[2:]:                       false,
		"01" + parent[2:] + "more":              false,
		strings.ToUpper(parent):                 false,
		strings.Replace(parent, "4bf92f3577b34da6a3ce929d0e0e4736", strings.Repeat("0", 32), 1): false,
		strings.Replace(parent, "00f067aa0ba902b7", strings.Repeat("0", 16), 1):                 false,
		strings.Replace(parent, "4bf9", "xyzt", 1):                                              false,
		strings.Replace(parent, "-", "_", 1):                                                    false,
	} {
		c := trace.Extract(http.Header{"Traceparent": {header}})
		if c.Valid() != want {
			t.Errorf("%q: %+v", header, c)
		}
	}
}

func FuzzExtract(f *testing.F) {
	f.Add(parent, "a=1")
	f.Add("01"+parent[2:]+"-x", "")
	f.Fuzz(func(t *testing.T, parent, state string) {
		c := trace.Extract(http.Header{"Traceparent": {parent}, "Tracestate": {state}})
		h := http.Header{}
		c.Inject(h)
		if !c.Valid() {
			if len(h) > 0 {
				t.Errorf("%q is invalid, but was passed on: %v", parent, h)
			}
			return
		}
		if diff := cmp.Diff(c, trace.Extract(h)); diff != "" {
			t.Errorf("%q does not survive: %s", parent, diff)
		}
		if got := h.Get("Traceparent"); got[3:52] != parent[3:52] {
			t.Errorf("%q became %q", parent, got)
		}
	})
}

func TestStateIsBounded(t *testing.T) {
	t.Parallel()
	c := trace.Extract(http.Header{"Traceparent": {parent}, "Tracestate": {strings.Repeat("a", 300), strings.Repeat("b", 300)}})
	if !c.Valid() || c.State != "" {
		t.Errorf("%+v", c)
	}
}

// collector is what spans are sent to.
type collector struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	status int
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{status: http.StatusOK}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		b, _ := io.ReadAll(r.Body)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.bodies = append(c.bodies, string(b))
		w.WriteHeader(c.status)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) tracer(ratio float64) *trace.Tracer {
	return trace.New(trace.Options{Endpoint: c.URL + "/", Ratio: ratio, Service: "orders", Version: "v1", Failed: func(error) {}})
}

func stop(t *testing.T, tracer *trace.Tracer) {
	t.Helper()
	for range 2 {
		if err := tracer.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tracer := c.tracer(1)
	begin := time.Unix(1893585600, 5).UTC()
	from := trace.Extract(http.Header{"Traceparent": {parent}, "Tracestate": {"a=1"}})
	server := tracer.Begin(from, trace.Server, begin)
	client := server.Child(trace.Client, begin.Add(time.Second))
	client.End("call", begin.Add(2*time.Second), "it broke", trace.Attribute{Key: "n", Value: 7}, trace.Attribute{Key: "s", Value: "x"})
	server.End("GET /", begin.Add(3*time.Second), "")
	stop(t, tracer)
	var got struct {
		ResourceSpans []struct {
			Resource   map[string]any
			ScopeSpans []struct{ Spans []map[string]any }
		}
	}
	if err := json.Unmarshal([]byte(strings.Join(c.bodies, "")), &got); err != nil {
		t.Fatal(err)
	}
	spans := got.ResourceSpans[0].ScopeSpans[0].Spans
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	want := map[string]any{"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": spans[0]["spanId"], "parentSpanId": spans[1]["spanId"], "traceState": "a=1",
		"name": "call", "kind": 3.0, "startTimeUnixNano": "1893585601000000005", "endTimeUnixNano": "1893585602000000005",
		"attributes": []any{map[string]any{"key": "n", "value": map[string]any{"intValue": "7"}}, map[string]any{"key": "s", "value": map[string]any{"stringValue": "x"}}},
		"status":     map[string]any{"code": 2.0, "message": "it broke"}}
	if diff := cmp.Diff(want, spans[0]); diff != "" {
		t.Error(diff)
	}
	if spans[1]["parentSpanId"] != "00f067aa0ba902b7" || spans[1]["kind"] != 2.0 || spans[1]["status"] != nil {
		t.Errorf("server span %v", spans[1])
	}
	late := tracer.Begin(from, trace.Server, begin)
	if late.End("late", begin, ""); tracer.Lost() != 1 {
		t.Errorf("%d spans are lost, want the one that came too late", tracer.Lost())
	}
}

func TestSampling(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	for ratio, bounds := range map[float64][2]int{0: {0, 0}, 0.1: {50, 150}, 1: {1000, 1000}} {
		tracer := c.tracer(ratio)
		recorded := 0
		for range 1000 {
			s := tracer.Begin(trace.Context{}, trace.Server, time.Now())
			if !s.Context.Valid() {
				t.Fatal("a span without a name")
			}
			if s.Recording() {
				recorded++
			}
		}
		if recorded < bounds[0] || recorded > bounds[1] {
			t.Errorf("ratio %v: %d of 1000 are recorded", ratio, recorded)
		}
		// Who began the trace has decided, either way.
		if s := tracer.Begin(trace.Extract(http.Header{"Traceparent": {parent}}), trace.Server, time.Now()); !s.Recording() {
			t.Errorf("ratio %v: the caller's decision is ignored", ratio)
		}
		stop(t, tracer)
	}
}

func TestNoTracer(t *testing.T) {
	t.Parallel()
	var tracer *trace.Tracer
	s := tracer.Begin(trace.Extract(http.Header{"Traceparent": {parent}}), trace.Server, time.Now())
	s.End("nothing", time.Now(), "")
	child := trace.FromContext(t.Context()).Child(trace.Client, time.Now())
	child.End("nothing", time.Now(), "")
	h := http.Header{}
	if child.Context.Inject(h); s.Recording() || child.Recording() || len(h) > 0 {
		t.Errorf("without a tracer something is traced: %v", h)
	}
	ctx := context.WithValue(t.Context(), trace.Key, &s)
	if trace.FromContext(ctx) != &s {
		t.Error("the context does not hold the span")
	}
}

func TestCollectorFails(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	c.status = http.StatusInternalServerError
	tracer := c.tracer(1)
	for range 300 { // more than a batch
		s := tracer.Begin(trace.Context{}, trace.Server, time.Now())
		s.End("x", time.Now(), "")
	}
	if stop(t, tracer); tracer.Lost() != 300 {
		t.Errorf("%d spans are lost, want 300", tracer.Lost())
	}
}

func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	tracer := trace.New(trace.Options{Endpoint: server.URL, Ratio: 1, Failed: func(error) {}})
	s := tracer.Begin(trace.Context{}, trace.Server, time.Now())
	s.End("x", time.Now(), "")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tracer.Shutdown(ctx); err == nil {
		t.Error("Shutdown waited for a collector that does not answer")
	}
}
