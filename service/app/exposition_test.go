package app_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// TestExemplars shows that a slow bucket leads to its trace: OpenMetrics names the trace of a recorded request.
func TestExemplars(t *testing.T) {
	t.Parallel()
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(collector.Close)
	i := start(t, settings{"TRACE_ENDPOINT": collector.URL, "TRACE_RATIO": "0"})
	wantStatus(t, i.get(t, "/v1/orders", "Traceparent", "00-"+traceID+"-00f067aa0ba902b7-01"), http.StatusOK)
	a := i.get(t, i.admin+"/metrics", "Accept", "application/openmetrics-text; version=1.0.0")
	if !strings.HasPrefix(a.header.Get("Content-Type"), "application/openmetrics-text") || !strings.HasSuffix(a.body, "# EOF\n") {
		t.Errorf("not OpenMetrics: %s", a.header.Get("Content-Type"))
	}
	found := false
	for line := range strings.Lines(a.body) {
		found = found || strings.HasPrefix(line, `http_request_duration_seconds_bucket{method="GET",route="/v1/orders",`) && strings.Contains(line, `# {`) &&
			strings.Contains(line, `trace_id="`+traceID+`"`)
	}
	if !found {
		t.Error("no bucket has the trace as its exemplar")
	}
}

// TestNativeHistograms shows that a scrape in protobuf gets native histograms, and classic ones with a boundary at 800 ms.
func TestNativeHistograms(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	wantStatus(t, i.get(t, "/v1/orders"), http.StatusOK)
	a := i.get(t, i.admin+"/metrics", "Accept", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
	decoder := expfmt.NewDecoder(strings.NewReader(a.body), expfmt.ResponseFormat(a.header))
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if family.GetName() != "http_request_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			h, classic := m.GetHistogram(), false
			if h.GetSampleCount() == 0 {
				continue
			}
			for _, b := range h.GetBucket() {
				classic = classic || b.GetUpperBound() == 0.8
			}
			if h.Schema == nil || len(h.GetPositiveSpan()) == 0 || !classic {
				t.Errorf("want native buckets, and a classic one at 0.8: %v", h)
			}
			return
		}
	}
	t.Error("there is no http_request_duration_seconds with a request")
}
