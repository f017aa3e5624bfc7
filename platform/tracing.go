package platform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/build"
	"gitlab.com/slipway-ci/slipway/platform/internal/cluster"
	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
)

const (
	collector = "collector"
	jaeger    = "jaeger"
	// collectorName is the collector's name in the cluster.
	collectorName  = "collector.tracing.svc:4317 and :4318"
	collectorReady = "http://127.0.0.1:13133/"
	jaegerReady    = "http://127.0.0.1:13134/status"
	jaegerQuery    = "127.0.0.1:16686"
	jaegerTraces   = "127.0.0.1:14317"
)

// startTracing runs an OpenTelemetry Collector that pods send their traces to, and Jaeger, which keeps the last ones in memory. Both are processes
// of the node.
func (p *Platform) startTracing(ctx context.Context, s *steps) error {
	dir, err := p.compiled(ctx, s, "tracing binaries", jaeger, build.Tracing())
	if err != nil {
		return err
	}
	c := p.cluster()
	start := func(name, program, config string, ready func(context.Context) error) error {
		return s.do(name, func() (bool, error) {
			file := p.path("tracing", name+".yml")
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(config), 0o644)); err != nil {
				return false, err
			}
			return p.table.Up(ctx, p.inside(c, daemon.Spec{Name: name, Path: filepath.Join(dir, program), NetNS: c.NetNS(),
				Args: []string{"--config", "file:" + file}, Inputs: []string{file}, Grace: 2 * time.Second}), 60*time.Second, ready)
		})
	}
	return parallel([]func() error{
		func() error { return start(jaeger, "jaeger", jaegerConfig(), c.Probe(jaegerReady)) },
		func() error { return start(collector, "otelcol", collectorConfig(), c.Probe(collectorReady)) },
		func() error { return p.apply(ctx, tracingObjects()) },
	})
}

// tracingObjects returns the collector's name in the cluster.
func tracingObjects() []located {
	return append([]located{plainNamespace("tracing")},
		onNode("tracing", collector, nodePort{"otlp-grpc", 4317, 4317}, nodePort{"otlp-http", 4318, 4318})...)
}

// collectorConfig sends what arrives to Jaeger, and a line for each batch to the log.
func collectorConfig() string {
	return fmt.Sprintf(`receivers:
  otlp:
    protocols:
      grpc: {endpoint: %[1]q}
      http: {endpoint: %[2]q}
processors:
  batch: {timeout: 1s}
exporters:
  debug: {}
  otlp: {endpoint: %[3]q, tls: {insecure: true}}
extensions:
  health_check: {endpoint: "127.0.0.1:13133"}
service:
  extensions: [health_check]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [otlp, debug]}
`, cluster.NodeAddress+":4317", cluster.NodeAddress+":4318", jaegerTraces)
}

// jaegerConfig keeps the last 10,000 traces in memory.
func jaegerConfig() string {
	return fmt.Sprintf(`receivers:
  otlp: {protocols: {grpc: {endpoint: %[1]q}}}
processors:
  batch: {timeout: 1s}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 10000}}}}
  jaeger_query:
    storage: {traces: memory}
    enable_tracing: false
    http: {endpoint: %[2]q}
    grpc: {endpoint: "127.0.0.1:16685"}
  healthcheckv2: {use_v2: true, http: {endpoint: "127.0.0.1:13134"}}
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [jaeger_storage_exporter]}
`, jaegerTraces, jaegerQuery)
}
