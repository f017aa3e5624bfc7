package metrics_test

import (
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"gitlab.com/slipway-ci/slipway/service/metrics"
)

func TestExposition(t *testing.T) {
	t.Parallel()
	var r metrics.Registry
	counters := r.Counters("c_total", "Count\\s\n\"all\".", "a", "b")
	counters.With("x", "1").Inc()
	counters.With("x", "1").Inc()
	counters.With(`q"\`+"\n", "").Inc()
	r.Gauge("g", "A gauge.", "l", "v").Set(-1.5)
	r.Func("gauge", "f", "Read.", func() float64 { return 7 })
	h := r.Histograms("h_seconds", "Times.", []float64{0.1, 1}, "l").With("v")
	for _, v := range []float64{0.05, 0.1, 0.5, 3} {
		h.Observe(v)
	}
	r.Histograms("plain", "Without labels.", []float64{1}).With().Observe(2)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, nil)
	const want = `# HELP c_total Count\\s\n"all".
# TYPE c_total counter
c_total{a="q\"\\\n",b=""} 1
c_total{a="x",b="1"} 2
# HELP f Read.
# TYPE f gauge
f 7
# HELP g A gauge.
# TYPE g gauge
g{l="v"} -1.5
# HELP h_seconds Times.
# TYPE h_seconds histogram
h_seconds_bucket{l="v",le="0.1"} 2
h_seconds_bucket{l="v",le="1"} 3
h_seconds_bucket{l="v",le="+Inf"} 4
h_seconds_sum{l="v"} 3.65
h_seconds_count{l="v"} 4
# HELP plain Without labels.
# TYPE plain histogram
plain_bucket{le="1"} 0
plain_bucket{le="+Inf"} 1
plain_sum 2
plain_count 1
`
	if got := w.Body.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(w.Body.String()))
	if err != nil || len(families) != 5 {
		t.Errorf("Prometheus reads %d families, %v", len(families), err)
	}
}

func TestConcurrently(t *testing.T) {
	t.Parallel()
	var r metrics.Registry
	c := r.Counters("c", "", "l")
	h := r.Histograms("h", "", []float64{1}, "l")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				c.With("x").Inc()
				h.With("x").Observe(0.5)
			}
		})
	}
	all.Go(func() { _, _ = r.WriteTo(new(strings.Builder)) })
	all.Wait()
	var b strings.Builder
	if _, err := r.WriteTo(&b); err != nil || !strings.Contains(b.String(), "c{l=\"x\"} 8000") || !strings.Contains(b.String(), "h_sum{l=\"x\"} 4000") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestRuntime(t *testing.T) {
	t.Parallel()
	var r metrics.Registry
	r.AddRuntime(time.Unix(1000, 500e6))
	var b strings.Builder
	if _, err := r.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range families {
		v := f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		if v <= 0 && name != "go_gc_cycles_total" && name != "go_cpu_classes_gc_total_cpu_seconds_total" && name != "go_memstats_heap_idle_bytes" {
			t.Errorf("%s is %v", name, v)
		}
	}
	if got := families["process_start_time_seconds"].GetMetric()[0].GetGauge().GetValue(); got != 1000.5 {
		t.Errorf("start time %v", got)
	}
}

func TestMistakes(t *testing.T) {
	t.Parallel()
	var r metrics.Registry
	c := r.Counters("c", "", "l")
	for name, mistake := range map[string]func(){"twice": func() { r.Counters("c", "") }, "other labels": func() { c.With() }} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			mistake()
		}()
	}
}
