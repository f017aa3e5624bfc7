package telemetry

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"gitlab.com/slipway-ci/slipway/service/order"
)

// Metrics is everything that is counted, in a registry of its own.
type Metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	refused   *prometheus.CounterVec
	orders    *prometheus.CounterVec
	charges   *prometheus.HistogramVec
	reloads   *prometheus.CounterVec
	reloaded  prometheus.Gauge
	reloadOK  prometheus.Gauge
}

// NewMetrics returns the metrics of a program.
func NewMetrics(build Build) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Requests, by the pattern that they matched."}, []string{"route", "method", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time from the head of a request to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"route", "method"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_refused_total", Help: "Requests refused to stay alive, by reason: overload or rate."}, []string{"reason"}),
		orders: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orders_total", Help: "Orders that reached a status; new ones reach pending."}, []string{"status"}),
		charges: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "payment_duration_seconds", Help: "Time that the payment provider took, retries included.",
			Buckets: []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"outcome"}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "config_reloads_total", Help: "Attempts to load the configuration again, by result."}, []string{"result"}),
		reloaded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "config_last_reload_success_timestamp_seconds", Help: "When the running configuration was loaded."}),
		reloadOK: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "config_last_reload_successful", Help: "Whether the last attempt to load the configuration succeeded."}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "build_info", Help: "Which program this is.",
		ConstLabels: prometheus.Labels{"version": build.Version, "commit": build.Commit, "go": build.Go}})
	info.Set(1)
	m.registry.MustRegister(m.requests, m.durations, m.refused, m.orders, m.charges, m.reloads, m.reloaded, m.reloadOK, info,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, s := range []order.Status{order.Pending, order.Paying, order.Paid, order.Declined, order.Cancelled} {
		m.orders.WithLabelValues(string(s)) // so that rates begin at zero, not at the first event
	}
	for _, reason := range []string{"overload", "rate"} {
		m.refused.WithLabelValues(reason)
	}
	return m
}

// Handler serves the metrics to Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// Gauge adds a gauge that is read when it is asked for.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// Refused counts a request that was refused for a reason, "overload" or "rate".
func (m *Metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// OrderReached implements [order.Observer].
func (m *Metrics) OrderReached(s order.Status) { m.orders.WithLabelValues(string(s)).Inc() }

// Charged implements [order.Observer].
func (m *Metrics) Charged(outcome string, d time.Duration) {
	m.charges.WithLabelValues(outcome).Observe(d.Seconds())
}

// Reloaded records that the configuration was loaded, or could not be.
func (m *Metrics) Reloaded(err error, now time.Time) {
	if err != nil {
		m.reloads.WithLabelValues("failure").Inc()
		m.reloadOK.Set(0)
		return
	}
	m.reloads.WithLabelValues("success").Inc()
	m.reloadOK.Set(1)
	m.reloaded.Set(float64(now.Unix()))
}

// Route is the metrics of one route, looked up once and not per request.
type Route struct {
	requests *prometheus.CounterVec
	duration prometheus.Observer
}

// Route returns the metrics of the requests with a method that match a pattern.
func (m *Metrics) Route(pattern, method string) *Route {
	labels := prometheus.Labels{"route": pattern, "method": method}
	return &Route{requests: m.requests.MustCurryWith(labels), duration: m.durations.With(labels)}
}

// Observe counts a request that was answered with a status after d.
func (r *Route) Observe(status int, d time.Duration) {
	r.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	r.duration.Observe(d.Seconds())
}
