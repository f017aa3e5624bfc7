package telemetry

import (
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// The metrics of the last minute are sampled for the page, which needs no dashboard.
const (
	// SampleEvery is how often [Metrics.Sample] wants to be called.
	SampleEvery = 5 * time.Second
	recentTime  = time.Minute
	samplesKept = int(recentTime/SampleEvery) + 1
)

// Recent summarizes the last minute.
type Recent struct {
	Requests float64 // per minute
	Orders   float64 // per minute
	Errors   float64 // share of the requests that were answered 5xx
	Median   time.Duration
	Slow     time.Duration // 95 of 100 requests were faster
}

type sample struct {
	at                       time.Time
	requests, errors, orders float64
	bounds                   []float64
	counts                   []float64 // cumulative, by bound
}

// recent is the samples of the last minute.
type recent struct {
	mu      sync.Mutex
	samples []sample
}

// Sample records the current values of the counters.
func (m *Metrics) Sample(now time.Time) {
	s := sample{at: now}
	for _, metric := range collect(m.requests) {
		s.requests += metric.GetCounter().GetValue()
		if label(metric, "code") >= "500" {
			s.errors += metric.GetCounter().GetValue()
		}
	}
	for _, metric := range collect(m.orders) {
		if label(metric, "status") == "pending" {
			s.orders += metric.GetCounter().GetValue()
		}
	}
	for _, metric := range collect(m.durations) {
		for i, bucket := range metric.GetHistogram().GetBucket() {
			if i == len(s.bounds) {
				s.bounds, s.counts = append(s.bounds, bucket.GetUpperBound()), append(s.counts, 0)
			}
			s.counts[i] += float64(bucket.GetCumulativeCount())
		}
	}
	m.recent.mu.Lock()
	defer m.recent.mu.Unlock()
	m.recent.samples = append(m.recent.samples, s)
	if len(m.recent.samples) > samplesKept {
		m.recent.samples = slices.Delete(m.recent.samples, 0, 1)
	}
}

// Recent returns the difference between the oldest and the newest sample.
func (m *Metrics) Recent() Recent {
	m.recent.mu.Lock()
	defer m.recent.mu.Unlock()
	if len(m.recent.samples) < 2 { //nolint:mnd // two make a difference
		return Recent{}
	}
	first, last := m.recent.samples[0], m.recent.samples[len(m.recent.samples)-1]
	minutes := last.at.Sub(first.at).Minutes()
	requests := last.requests - first.requests
	r := Recent{Requests: requests / minutes, Orders: (last.orders - first.orders) / minutes}
	if requests > 0 {
		r.Errors = (last.errors - first.errors) / requests
	}
	counts := slices.Clone(last.counts)
	for i := range first.counts {
		counts[i] -= first.counts[i]
	}
	r.Median, r.Slow = quantile(.5, last.bounds, counts, requests), quantile(.95, last.bounds, counts, requests)
	return r
}

// quantile estimates a quantile as Prometheus does, by linear interpolation within the bucket.
func quantile(q float64, bounds, counts []float64, total float64) time.Duration {
	rank, lower, below := q*total, 0., 0.
	for i, bound := range bounds {
		if total > 0 && counts[i] >= rank {
			within := (rank - below) / max(counts[i]-below, 1)
			return time.Duration((lower + (bound-lower)*within) * float64(time.Second))
		}
		lower, below = bound, counts[i]
	}
	return time.Duration(lower * float64(time.Second) * min(total, 1))
}

func collect(c prometheus.Collector) (metrics []*dto.Metric) {
	ch := make(chan prometheus.Metric)
	go func() {
		defer close(ch)
		c.Collect(ch)
	}()
	for metric := range ch {
		out := new(dto.Metric)
		if metric.Write(out) == nil {
			metrics = append(metrics, out)
		}
	}
	return metrics
}

func label(m *dto.Metric, name string) string {
	for _, pair := range m.GetLabel() {
		if pair.GetName() == name {
			return pair.GetValue()
		}
	}
	return ""
}
