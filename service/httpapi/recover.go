package httpapi

import (
	"fmt"
	"net/http"
	"runtime/debug"

	"go.uber.org/zap"
)

// recover turns a panic into 500 and logs its stack.
func (s *Server) recover(_ *route, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if v == http.ErrAbortHandler { //nolint:errorlint // as net/http does
				panic(v)
			}
			s.options.Log.Error("panic", zap.String("request_id", recordOf(w).id), zap.Any("value", v), zap.ByteString("stack", debug.Stack()))
			recordOf(w).fail(fmt.Errorf("panic: %v", v))
		}()
		next.ServeHTTP(w, r)
	})
}
