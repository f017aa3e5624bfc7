package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"go.opentelemetry.io/contrib/propagators/autoprop"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// TraceOptions configures tracing. Empty options fall back to the standard variables (OTEL_*), which the SDK reads.
type TraceOptions struct {
	Endpoint string  // of the collector, as http://collector:4318
	Protocol string  // "http/protobuf" or "grpc"
	Ratio    float64 // share of the traces that begin here which are recorded, unless OTEL_TRACES_SAMPLER decides
	Build    Build
	Failed   func(spans int, err error) // called when spans could not be sent
}

// Traces creates and exports spans.
type Traces struct {
	trace.TracerProvider
	Propagator propagation.TextMapPropagator
	Shutdown   func(context.Context) error // exports the remaining spans
}

// NoTraces records and propagates nothing.
func NoTraces() *Traces {
	return &Traces{TracerProvider: noop.NewTracerProvider(), Propagator: propagation.NewCompositeTextMapPropagator(),
		Shutdown: func(context.Context) error { return nil }}
}

// NewTraces returns traces that are exported to a collector, or [NoTraces] without an endpoint, with OTEL_SDK_DISABLED=true or
// with OTEL_TRACES_EXPORTER=none.
func NewTraces(ctx context.Context, o TraceOptions) (*Traces, error) {
	endpoint := cmp.Or(o.Endpoint, os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT"))
	if endpoint == "" || strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || os.Getenv("OTEL_TRACES_EXPORTER") == "none" {
		return NoTraces(), nil
	}
	exporter, err := newExporter(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	described, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("orders"), semconv.ServiceVersion(o.Build.Version)),
		resource.WithTelemetrySDK(), resource.WithFromEnv()) // the environment wins: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	options := []sdktrace.TracerProviderOption{sdktrace.WithBatcher(reportingExporter{exporter, o.Failed}), sdktrace.WithResource(described)}
	if os.Getenv("OTEL_TRACES_SAMPLER") == "" {
		options = append(options, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Ratio))))
	}
	provider := sdktrace.NewTracerProvider(options...)
	return &Traces{provider, autoprop.NewTextMapPropagator(), provider.Shutdown}, nil
}

func newExporter(ctx context.Context, o TraceOptions) (sdktrace.SpanExporter, error) {
	protocol := cmp.Or(o.Protocol, os.Getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), os.Getenv("OTEL_EXPORTER_OTLP_PROTOCOL"), "http/protobuf")
	switch protocol {
	case "http/protobuf":
		var options []otlptracehttp.Option
		if o.Endpoint != "" {
			options = append(options, otlptracehttp.WithEndpointURL(strings.TrimSuffix(o.Endpoint, "/")+"/v1/traces"))
		}
		return otlptracehttp.New(ctx, options...)
	case "grpc":
		var options []otlptracegrpc.Option
		if o.Endpoint != "" {
			options = append(options, otlptracegrpc.WithEndpointURL(o.Endpoint))
		}
		return otlptracegrpc.New(ctx, options...)
	}
	return nil, fmt.Errorf("unknown protocol %q: want http/protobuf or grpc", protocol)
}

// reportingExporter reports failed exports to the service instead of the SDK's global error handler.
type reportingExporter struct {
	sdktrace.SpanExporter
	failed func(spans int, err error)
}

// ExportSpans implements [sdktrace.SpanExporter].
func (e reportingExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.failed(len(spans), err)
	}
	return nil
}
