package httpapi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"gitlab.com/slipway-ci/slipway/service/limit"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// late is the error of a read deadline that has passed.
type late struct{ error }

// Timeout implements the interface that such errors have.
func (late) Timeout() bool { return true }

// TestReadBody reads bodies that are refused, each with its status.
func TestReadBody(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		bodies int // that may be read concurrently
		body   *http.Request
		status int // 0 for none
		closes bool
	}{
		"a body":        {1, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")), 0, false},
		"one too many":  {0, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")), http.StatusServiceUnavailable, false},
		"too large":     {1, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("0123456789a")), http.StatusRequestEntityTooLarge, false},
		"too slow":      {1, httptest.NewRequest(http.MethodPost, "/", iotest.ErrReader(late{errors.New("i/o timeout")})), http.StatusRequestTimeout, true},
		"not completed": {1, httptest.NewRequest(http.MethodPost, "/", iotest.ErrReader(errors.New("connection reset"))), http.StatusBadRequest, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			metrics := telemetry.NewMetrics(telemetry.Build{})
			s := &Server{options: Options{Metrics: metrics, MaxBody: 10}, bodies: limit.NewGate(test.bodies)}
			w := httptest.NewRecorder()
			body, err := s.read(w, test.body)
			switch {
			case test.status == 0:
				if err != nil || string(body) != "{}" {
					t.Errorf("%q, %v", body, err)
				}
			case err == nil || problemOf(err).status != test.status:
				t.Errorf("%v, want the status %d", err, test.status)
			}
			if closes := w.Header().Get("Connection") == "close"; closes != test.closes {
				t.Errorf("the connection is closed: %v, want %v", closes, test.closes)
			}
			if s.bodies.Inside() != 0 {
				t.Error("the body counts as being read")
			}
			scrape := httptest.NewRecorder()
			metrics.Handler().ServeHTTP(scrape, httptest.NewRequest(http.MethodGet, "/metrics", nil))
			if refused := strings.Contains(scrape.Body.String(), `http_requests_refused_total{reason="bodies"} 1`); refused != (test.bodies == 0) {
				t.Errorf("the metrics count a refusal: %v", refused)
			}
		})
	}
}
