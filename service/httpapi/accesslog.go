package httpapi

import (
	"net/http"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// logAccess writes one access record per request.
func (s *Server) logAccess(rt *route, next http.Handler) http.Handler {
	log := s.options.Log.With(zap.String("route", rt.path))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			rec := recordOf(w)
			level := zapcore.InfoLevel
			if rec.outcome() >= http.StatusInternalServerError {
				level = zapcore.ErrorLevel
			}
			entry := log.Check(level, "request")
			if entry == nil {
				return
			}
			fields := make([]zap.Field, 0, 12)
			fields = append(fields, zap.String("request_id", rec.id), zap.String("method", r.Method), zap.String("path", r.URL.Path),
				zap.Int("status", rec.outcome()), zap.Int64("bytes", rec.bytes), zap.Duration("duration_ns", s.options.Now().Sub(rec.start)),
				zap.Stringer("remote", rec.remote))
			if rec.client.Name != "" {
				fields = append(fields, zap.String("client", rec.client.Name))
			}
			if rec.span.IsValid() {
				fields = append(fields, zap.Stringer("trace_id", rec.span.TraceID()), zap.Stringer("span_id", rec.span.SpanID()))
			}
			if rec.err != nil {
				fields = append(fields, zap.Error(rec.err))
			}
			entry.Write(fields...)
		}()
		next.ServeHTTP(w, r)
	})
}
