package telemetry

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gitlab.com/slipway-ci/slipway/service/order"
)

// Pool is the usage of a store's connections.
type Pool struct {
	InUse, Idle, Max int
	Waits            int64         // calls that waited for a connection
	Waited           time.Duration // total time
}

// AddPool adds the metrics of a store's connections.
func (m *Metrics) AddPool(pool func() Pool) { m.registry.MustRegister(poolCollector(pool)) }

// poolCollector reads the pool once for all its metrics.
type poolCollector func() Pool

var (
	poolInUse  = prometheus.NewDesc("database_connections_in_use", "Connections to the database that are in use.", nil, nil)
	poolIdle   = prometheus.NewDesc("database_connections_idle", "Connections to the database that are idle.", nil, nil)
	poolMax    = prometheus.NewDesc("database_connections_max", "The most connections to the database.", nil, nil)
	poolWaits  = prometheus.NewDesc("database_connection_waits_total", "Calls that waited for a connection.", nil, nil)
	poolWaited = prometheus.NewDesc("database_connection_wait_seconds_total", "Time that calls waited for a connection.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (c poolCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect implements [prometheus.Collector].
func (c poolCollector) Collect(ch chan<- prometheus.Metric) {
	p := c()
	ch <- prometheus.MustNewConstMetric(poolInUse, prometheus.GaugeValue, float64(p.InUse))
	ch <- prometheus.MustNewConstMetric(poolIdle, prometheus.GaugeValue, float64(p.Idle))
	ch <- prometheus.MustNewConstMetric(poolMax, prometheus.GaugeValue, float64(p.Max))
	ch <- prometheus.MustNewConstMetric(poolWaits, prometheus.CounterValue, float64(p.Waits))
	ch <- prometheus.MustNewConstMetric(poolWaited, prometheus.CounterValue, p.Waited.Seconds())
}

// Store returns next with the duration of its calls measured.
func (m *Metrics) Store(next order.Store) order.Store { return &measuredStore{next, m.queries} }

type measuredStore struct {
	order.Store
	durations *prometheus.HistogramVec
}

func (s *measuredStore) observe(operation string, start time.Time, err *error) {
	result := "ok"
	switch {
	case *err == nil, errors.Is(*err, order.ErrNotFound), errors.Is(*err, order.ErrChanged), errors.Is(*err, order.ErrKeyReused):
	case errors.Is(*err, context.Canceled), errors.Is(*err, context.DeadlineExceeded):
		result = "cancelled"
	default:
		result = "error"
	}
	s.durations.WithLabelValues(operation, result).Observe(time.Since(start).Seconds())
}

func (s *measuredStore) Create(ctx context.Context, o order.Order, key order.Key) (stored order.Order, replayed bool, err error) {
	defer s.observe("create", time.Now(), &err)
	return s.Store.Create(ctx, o, key)
}

func (s *measuredStore) Get(ctx context.Context, id string) (o order.Order, err error) {
	defer s.observe("get", time.Now(), &err)
	return s.Store.Get(ctx, id)
}

func (s *measuredStore) List(ctx context.Context, q order.Query) (orders []order.Order, err error) {
	defer s.observe("list", time.Now(), &err)
	return s.Store.List(ctx, q)
}

func (s *measuredStore) Update(ctx context.Context, o order.Order) (err error) {
	defer s.observe("update", time.Now(), &err)
	return s.Store.Update(ctx, o)
}

func (s *measuredStore) ForgetKeys(ctx context.Context, t time.Time) (n int64, err error) {
	defer s.observe("forget_keys", time.Now(), &err)
	return s.Store.ForgetKeys(ctx, t)
}
