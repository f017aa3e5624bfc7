package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"

	"gitlab.com/slipway-ci/slipway/service/order"
)

// Limits of the native histograms.
const (
	nativeFactor     = 1.1
	nativeBuckets    = 100
	nativeResetAfter = time.Hour
)

// Metrics are the metrics of the service, in their own registry.
type Metrics struct {
	registry   *prometheus.Registry
	requests   *prometheus.CounterVec
	durations  *prometheus.HistogramVec
	refused    *prometheus.CounterVec
	orders     *prometheus.CounterVec
	charges    *prometheus.HistogramVec
	breaker    *prometheus.GaugeVec
	keys       *prometheus.CounterVec
	reconciled *prometheus.CounterVec
	unsettled  prometheus.Gauge
	queries    *prometheus.HistogramVec
	spansLost  prometheus.Counter
	reloads    *prometheus.CounterVec
	reloadedAt prometheus.Gauge
	reloadOK   prometheus.Gauge
	restart    prometheus.Gauge
	recent     recent
}

// NewMetrics returns the metrics of a program.
func NewMetrics(build Build) *Metrics {
	m := &Metrics{
		registry:   prometheus.NewRegistry(),
		requests:   counters("http_requests_total", "Requests, by the pattern that they matched.", "route", "method", "code"),
		durations:  histograms("http_request_duration_seconds", "Time from the head of a request to the end of its answer.", "route", "method"),
		refused:    counters("http_requests_refused_total", "Requests refused to keep the service alive, by reason.", "reason"),
		orders:     counters("orders_total", "Orders that reached a status; new ones reach pending.", "status"),
		charges:    histograms("payment_duration_seconds", "Time that the payment provider took, retries included.", "outcome"),
		breaker:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "payment_breaker_state", Help: "1 for the state of the circuit breaker in front of the payment provider."}, []string{"state"}),
		keys:       counters("idempotency_keys_total", "Requests with an idempotency key, by what it did: stored, replayed, or reused for another request.", "result"),
		reconciled: counters("reconcile_orders_total", "Orders in paying that the service asked the provider about by itself, by result.", "result"),
		unsettled:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "reconcile_unsettled_orders", Help: "Orders that the last run could not settle."}),
		queries:    histograms("database_query_duration_seconds", "Time of calls to the store, waiting for a connection included.", "operation", "result"),
		spansLost:  prometheus.NewCounter(prometheus.CounterOpts{Name: "trace_spans_lost_total", Help: "Spans that the collector did not take."}),
		reloads:    counters("config_reloads_total", "Attempts to load the configuration again, by result.", "result"),
		reloadedAt: prometheus.NewGauge(prometheus.GaugeOpts{Name: "config_last_reload_success_timestamp_seconds", Help: "When the running configuration was loaded."}),
		reloadOK:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "config_last_reload_successful", Help: "Whether the last attempt to load the configuration succeeded."}),
		restart:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "config_settings_need_restart", Help: "Settings that were changed since, but take effect with a restart only."}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{Name: "build_info", Help: "Which program this is.",
		ConstLabels: prometheus.Labels{"version": build.Version, "commit": build.Commit, "go": build.Go}})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.durations, m.refused, m.orders, m.charges, m.breaker, m.keys, m.reconciled, m.unsettled, m.queries,
		m.spansLost, m.reloads, m.reloadedAt, m.reloadOK, m.restart, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	// Series exist from the start, so that rates include the first event.
	for _, s := range order.Statuses {
		m.orders.WithLabelValues(string(s))
	}
	for _, reason := range []string{RefusedOverload, RefusedRate, RefusedBodies} {
		m.refused.WithLabelValues(reason)
	}
	for _, result := range []string{"stored", "replayed", "reused"} {
		m.keys.WithLabelValues(result)
	}
	for _, result := range []string{"settled", "failed"} {
		m.reconciled.WithLabelValues(result)
	}
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

// histograms have native and classic buckets. The alert on slow answers (docs/service.md) asks for 800 ms, so that is a boundary.
func histograms(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help,
		Buckets:                     []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, .8, 1, 2.5, 5, 10},
		NativeHistogramBucketFactor: nativeFactor, NativeHistogramMaxBucketNumber: nativeBuckets, NativeHistogramMinResetDuration: nativeResetAfter}, labels)
}

// Handler returns the handler of scrapes: the text format, OpenMetrics with exemplars, or protobuf with native histograms.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, Registry: m.registry})
}

// Gauge adds a gauge whose value is read at each scrape.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// Reasons for which requests are refused.
const (
	RefusedOverload = "overload"
	RefusedRate     = "rate"
	RefusedBodies   = "bodies"
)

// Refused counts a request that was refused for a reason.
func (m *Metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// OrderReached implements [order.Observer].
func (m *Metrics) OrderReached(s order.Status) { m.orders.WithLabelValues(string(s)).Inc() }

// Charged implements [order.Observer].
func (m *Metrics) Charged(outcome string, d time.Duration) {
	m.charges.WithLabelValues(outcome).Observe(d.Seconds())
}

// KeyUsed implements [order.Observer].
func (m *Metrics) KeyUsed(result string) { m.keys.WithLabelValues(result).Inc() }

// Reconciled implements [order.Observer].
func (m *Metrics) Reconciled(settled, failed int) {
	m.reconciled.WithLabelValues("settled").Add(float64(settled))
	m.reconciled.WithLabelValues("failed").Add(float64(failed))
	m.unsettled.Set(float64(failed))
}

// Breaker sets the state of the payment provider's circuit breaker, one of all.
func (m *Metrics) Breaker(state string, all []string) {
	for _, s := range all {
		value := 0.
		if s == state {
			value = 1
		}
		m.breaker.WithLabelValues(s).Set(value)
	}
}

// SpansLost counts spans that could not be sent.
func (m *Metrics) SpansLost(n int) { m.spansLost.Add(float64(n)) }

// Reloaded records that the configuration was loaded, or could not be.
func (m *Metrics) Reloaded(err error, now time.Time) {
	if err != nil {
		m.reloads.WithLabelValues("failure").Inc()
		m.reloadOK.Set(0)
		return
	}
	m.reloads.WithLabelValues("success").Inc()
	m.reloadOK.Set(1)
	m.reloadedAt.Set(float64(now.Unix()))
}

// RestartNeeded records how many changed settings take effect with a restart only.
func (m *Metrics) RestartNeeded(settings int) { m.restart.Set(float64(settings)) }

// Route is the metrics of one route.
type Route struct {
	requests *prometheus.CounterVec
	duration prometheus.ExemplarObserver
}

// Route returns the metrics of the requests with a method that match a pattern.
func (m *Metrics) Route(pattern, method string) *Route {
	labels := prometheus.Labels{"route": pattern, "method": method}
	return &Route{requests: m.requests.MustCurryWith(labels), duration: m.durations.With(labels).(prometheus.ExemplarObserver)}
}

// Observe counts a request that was answered with a status after d. The span of a recorded request becomes the exemplar of
// its bucket, which leads from a slow bucket to a trace.
func (r *Route) Observe(status int, d time.Duration, span trace.SpanContext) {
	r.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	var exemplar prometheus.Labels
	if span.IsSampled() {
		exemplar = prometheus.Labels{"trace_id": span.TraceID().String(), "span_id": span.SpanID().String()}
	}
	r.duration.ObserveWithExemplar(d.Seconds(), exemplar)
}
