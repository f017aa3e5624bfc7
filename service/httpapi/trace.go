package httpapi

import (
	"net"
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// trace starts the server span, in the trace of the caller if there is one. It uses the SDK directly: otelhttp adds half as
// much CPU time again to a request (make bench-service).
func (s *Server) trace(rt *route, next http.Handler) http.Handler {
	tracer := s.options.Traces.Tracer("gitlab.com/slipway-ci/slipway/service/httpapi")
	name := rt.method + " " + rt.path
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := s.options.Traces.Propagator.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(recordOf(w).start))
		rec := recordOf(w)
		rec.span = span.SpanContext()
		defer func() {
			if span.IsRecording() {
				s.describe(span, rt, rec, r)
			}
			span.End()
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// describe sets the attributes of the semantic conventions for HTTP servers.
func (s *Server) describe(span trace.Span, rt *route, rec *record, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	attributes := append(make([]attribute.KeyValue, 0, 12), semconv.HTTPRequestMethodKey.String(r.Method), semconv.URLPath(r.URL.Path), semconv.URLScheme(scheme),
		semconv.HTTPResponseStatusCode(rec.outcome()), semconv.ClientAddress(rec.remote.String()), semconv.UserAgentOriginal(r.UserAgent()),
		semconv.NetworkProtocolVersion(strconv.Itoa(r.ProtoMajor)+"."+strconv.Itoa(r.ProtoMinor)), attribute.String("http.request.id", rec.id))
	if rt.pattern != "" { // requests that match no route have none
		attributes = append(attributes, semconv.HTTPRoute(rt.path))
	}
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	attributes = append(attributes, semconv.ServerAddress(host))
	if n, err := strconv.Atoi(port); err == nil {
		attributes = append(attributes, semconv.ServerPort(n))
	}
	if rec.outcome() >= http.StatusInternalServerError {
		attributes = append(attributes, semconv.ErrorTypeKey.String(strconv.Itoa(rec.outcome())))
		span.SetStatus(codes.Error, http.StatusText(rec.outcome()))
	}
	if rec.err != nil {
		span.RecordError(rec.err)
	}
	span.SetAttributes(attributes...)
}
