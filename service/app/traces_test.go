package app_test

import (
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	collectorpb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"gitlab.com/slipway-ci/slipway/service/pgtest"
	"gitlab.com/slipway-ci/slipway/service/testlog"
)

// traceID is that of a caller who records.
const traceID = "4bf92f3577b34da6a3ce929d0e0e4736"

// grpcCollector receives traces over gRPC, after it has refused the first exports.
type grpcCollector struct {
	collectorpb.UnimplementedTraceServiceServer
	url string

	mu       sync.Mutex
	refusals int
	headers  metadata.MD
	received []*tracepb.ResourceSpans
}

func newGRPCCollector(t *testing.T) *grpcCollector {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &grpcCollector{url: "http://" + l.Addr().String()}
	server := grpc.NewServer()
	collectorpb.RegisterTraceServiceServer(server, c)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c
}

// Export implements the service.
func (c *grpcCollector) Export(ctx context.Context, r *collectorpb.ExportTraceServiceRequest) (*collectorpb.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.refusals--; c.refusals >= 0 {
		return nil, status.Error(codes.Unavailable, "starting")
	}
	c.headers, _ = metadata.FromIncomingContext(ctx)
	c.received = append(c.received, r.GetResourceSpans()...)
	return new(collectorpb.ExportTraceServiceResponse), nil
}

// spans returns the received spans by name, the attributes of the resource, and how many traces there are.
func (c *grpcCollector) spans() (spans map[string]*tracepb.Span, resource map[string]string, traces map[string]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans, resource, traces = map[string]*tracepb.Span{}, map[string]string{}, map[string]bool{}
	for _, r := range c.received {
		for _, a := range r.GetResource().GetAttributes() {
			resource[a.GetKey()] = a.GetValue().GetStringValue()
		}
		for _, scope := range r.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				spans[s.GetName()] = s
				traces[hex.EncodeToString(s.GetTraceId())] = true
			}
		}
	}
	return spans, resource, traces
}

func attributeOf(s *tracepb.Span, name string) string {
	for _, a := range s.GetAttributes() {
		if a.GetKey() == name {
			return a.GetValue().GetStringValue()
		}
	}
	return ""
}

// TestTracesOverGRPC follows a request to PostgreSQL: the spans arrive over gRPC although the collector refuses the first
// export, and name the service and the queries.
func TestTracesOverGRPC(t *testing.T) {
	t.Parallel()
	c := newGRPCCollector(t)
	c.refusals = 1
	i := start(t, settings{"DATABASE_URL": pgtest.Database(t), "TRACE_ENDPOINT": c.url, "TRACE_PROTOCOL": "grpc", "TRACE_RATIO": "0"})
	id := i.place(t).Id // is not recorded
	wantStatus(t, i.get(t, "/v1/orders/"+id, "Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01"), http.StatusOK)
	if err := i.Stop(context.Background()); err != nil { // sends what is left
		t.Error(err)
	}
	spans, resource, traces := c.spans()
	if len(traces) != 1 || !traces[traceID] {
		t.Errorf("traces %v, want the caller's only", traces)
	}
	server := spans["GET /v1/orders/{id}"]
	if server == nil || attributeOf(server, "http.route") != "/v1/orders/{id}" || server.GetKind() != tracepb.Span_SPAN_KIND_SERVER {
		t.Fatalf("the span of the request: %v", server)
	}
	query := false
	for _, s := range spans {
		if attributeOf(s, "db.system.name") == "postgresql" && strings.HasPrefix(attributeOf(s, "db.query.text"), "SELECT id, customer") {
			query = hex.EncodeToString(s.GetParentSpanId()) == hex.EncodeToString(server.GetSpanId())
		}
	}
	if !query {
		t.Errorf("there is no span of the query below that of the request: %v", spans)
	}
	if resource["service.name"] != "orders" || resource["service.version"] != "v1.2.3" {
		t.Errorf("resource %v", resource)
	}
	if !strings.Contains(i.log.String(), `"trace_id":"`+traceID+`"`) {
		t.Error("the trace is not in the log")
	}
}

// TestTracesByStandardVariables configures tracing with the variables of OpenTelemetry alone.
func TestTracesByStandardVariables(t *testing.T) {
	c := newGRPCCollector(t)
	base := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.url, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
	b3 := []string{"B3", traceID + "-00f067aa0ba902b7-1"}
	tests := []struct {
		name    string
		environ map[string]string
		headers []string
		traces  int
		check   func(t *testing.T)
	}{
		{"sampler, resource and headers", map[string]string{"OTEL_TRACES_SAMPLER": "always_on", "OTEL_SERVICE_NAME": "shop",
			"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=staging", "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=blue"}, nil, 1, func(t *testing.T) {
			if _, resource, _ := c.spans(); resource["service.name"] != "shop" || resource["deployment.environment.name"] != "staging" {
				t.Errorf("resource %v", resource)
			}
			if got := c.headers.Get("x-tenant"); len(got) != 1 || got[0] != "blue" {
				t.Errorf("headers %v", c.headers)
			}
		}},
		{"sampler that records nothing", map[string]string{"OTEL_TRACES_SAMPLER": "always_off"}, nil, 0, nil},
		{"propagators", map[string]string{"OTEL_PROPAGATORS": "b3", "OTEL_TRACES_SAMPLER": "parentbased_always_off"}, b3, 1, func(t *testing.T) {
			if _, _, traces := c.spans(); !traces[traceID] {
				t.Errorf("traces %v, want the caller's", traces)
			}
		}},
		{"propagators that know another format", map[string]string{"OTEL_PROPAGATORS": "tracecontext", "OTEL_TRACES_SAMPLER": "parentbased_always_off"}, b3, 0, nil},
		{"disabled", map[string]string{"OTEL_SDK_DISABLED": "TRUE", "OTEL_TRACES_SAMPLER": "always_on"}, nil, 0, nil},
		{"no exporter", map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_TRACES_SAMPLER": "always_on"}, nil, 0, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, environ := range []map[string]string{base, test.environ} {
				for name, value := range environ {
					t.Setenv(name, value)
				}
			}
			c.received, c.headers = nil, nil
			i := start(t, nil)
			wantStatus(t, i.get(t, "/v1/orders", test.headers...), http.StatusOK)
			if err := i.Stop(context.Background()); err != nil {
				t.Error(err)
			}
			if _, _, traces := c.spans(); len(traces) != test.traces {
				t.Errorf("%d traces, want %d", len(traces), test.traces)
			}
			if test.check != nil {
				test.check(t)
			}
		})
	}
}

// TestTracesWithoutCollector shows that spans that cannot be sent are counted and logged, and do no other harm.
func TestTracesWithoutCollector(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "100")
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
	i := start(t, settings{"TRACE_ENDPOINT": "http://" + freeAddr(t) + "/", "TRACE_RATIO": "1"})
	wantStatus(t, i.get(t, "/v1/orders"), http.StatusOK)
	testlog.Eventually(t, "the loss", func() bool {
		return strings.Contains(i.log.String(), "spans could not be sent") && !strings.Contains(i.probe(t, "/metrics").body, "trace_spans_lost_total 0")
	})
	wantStatus(t, i.get(t, "/v1/orders"), http.StatusOK)
}
