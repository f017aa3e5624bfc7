package telemetry

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"gitlab.com/slipway-ci/slipway/service/metrics"
	"gitlab.com/slipway-ci/slipway/service/order"
)

// Metrics is everything that is counted.
type Metrics struct {
	metrics.Registry
	requests  *metrics.Counters
	durations *metrics.Histograms
	refused   *metrics.Counters
	orders    *metrics.Counters
	charges   *metrics.Histograms
	reloads   *metrics.Counters
	reloaded  *metrics.Gauge
	reloadOK  *metrics.Gauge
}

// NewMetrics returns the metrics of a program that started at a time.
func NewMetrics(build Build, start time.Time) *Metrics {
	m := new(Metrics)
	m.requests = m.Counters("http_requests_total", "Requests, by the pattern that they matched.", "route", "method", "code")
	m.durations = m.Histograms("http_request_duration_seconds", "Time from the head of a request to the end of its answer.",
		[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}, "route", "method")
	m.refused = m.Counters("http_requests_refused_total", "Requests refused to stay alive, by reason.", "reason")
	m.orders = m.Counters("orders_total", "Orders that reached a status; new ones reach pending.", "status")
	m.charges = m.Histograms("payment_duration_seconds", "Time that the payment provider took, retries included.",
		[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}, "outcome")
	m.reloads = m.Counters("config_reloads_total", "Attempts to load the configuration again, by result.", "result")
	m.reloaded = m.Gauge("config_last_reload_success_timestamp_seconds", "When the running configuration was loaded.")
	m.reloadOK = m.Gauge("config_last_reload_successful", "Whether the last attempt to load the configuration succeeded.")
	m.Gauge("build_info", "Which program this is.", "version", build.Version, "commit", build.Commit, "go", build.Go).Set(1)
	m.AddRuntime(start)
	// Series that exist from the start, so that rates begin at zero and not at the first event.
	for _, s := range []order.Status{order.Pending, order.Paying, order.Paid, order.Declined, order.Cancelled} {
		m.orders.With(string(s))
	}
	for _, reason := range []string{"overload", "rate"} {
		m.refused.With(reason)
	}
	return m
}

// Refused counts a request that was refused for a reason, "overload" or "rate".
func (m *Metrics) Refused(reason string) { m.refused.With(reason).Inc() }

// OrderReached implements [order.Observer].
func (m *Metrics) OrderReached(s order.Status) { m.orders.With(string(s)).Inc() }

// Charged implements [order.Observer].
func (m *Metrics) Charged(outcome string, d time.Duration) {
	m.charges.With(outcome).Observe(d.Seconds())
}

// Reloaded records that the configuration was loaded, or could not be.
func (m *Metrics) Reloaded(err error, now time.Time) {
	if err != nil {
		m.reloads.With("failure").Inc()
		m.reloadOK.Set(0)
		return
	}
	m.reloads.With("success").Inc()
	m.reloadOK.Set(1)
	m.reloaded.Set(float64(now.Unix()))
}

// Route is the metrics of one route; its series are looked up once and not per request.
type Route struct {
	counters        *metrics.Counters
	pattern, method string
	codes           [600]atomic.Pointer[metrics.Counter] // by status
	duration        *metrics.Histogram
}

// Route returns the metrics of the requests with a method that match a pattern.
func (m *Metrics) Route(pattern, method string) *Route {
	return &Route{counters: m.requests, pattern: pattern, method: method, duration: m.durations.With(pattern, method)}
}

// Observe counts a request that was answered with a status after d.
func (r *Route) Observe(status int, d time.Duration) {
	if status < 0 || status >= len(r.codes) {
		status = http.StatusInternalServerError
	}
	counter := r.codes[status].Load()
	if counter == nil {
		counter = r.counters.With(r.pattern, r.method, strconv.Itoa(status))
		r.codes[status].Store(counter)
	}
	counter.Inc()
	r.duration.Observe(d.Seconds())
}
