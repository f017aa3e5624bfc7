package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"gitlab.com/slipway-ci/slipway/service/config"
	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/sqlite"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// moody is a payment provider that does not respond for a while.
type moody struct{ failures atomic.Int64 }

func (m *moody) Charge(_ context.Context, c order.Charge) (string, error) {
	if m.failures.Add(-1) >= 0 {
		return "", errors.New("no answer")
	}
	return "pay-" + c.Key, nil
}

// TestWorkers simulates two days: a payment without a response is settled, and keys are removed.
func TestWorkers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "orders.db")
	synctest.Test(t, func(t *testing.T) {
		store, err := sqlite.Open(t.Context(), path, noop.NewTracerProvider())
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close() //nolint:errcheck // a temporary file
		if _, err := store.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		provider := new(moody)
		provider.failures.Store(2)
		a := &App{log: zap.NewNop(), metrics: telemetry.NewMetrics(telemetry.Build{})}
		a.orders = order.NewService(store, provider, a.metrics, time.Now)
		stop := a.startWorkers()
		placed := order.NewOrder{Customer: "ann", Currency: "EUR", Items: []order.LineItem{{SKU: "a", Quantity: 1, UnitPrice: 1}}}
		o, _, err := a.orders.Create(t.Context(), placed, "shop", "key")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.orders.Pay(t.Context(), o.ID); !errors.Is(err, order.ErrPaymentPending) {
			t.Fatalf("Pay = %v", err)
		}
		time.Sleep(3 * time.Minute)
		if o, err = a.orders.Get(t.Context(), o.ID); err != nil || o.Status != order.Paid {
			t.Errorf("three minutes later the order is %s, %v", o.Status, err)
		}
		w := httptest.NewRecorder()
		a.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		for _, line := range []string{`reconcile_orders_total{result="failed"} 1`, `reconcile_orders_total{result="settled"} 1`, "reconcile_unsettled_orders 0"} {
			if !strings.Contains(w.Body.String(), line+"\n") {
				t.Errorf("the metrics have no %s", line)
			}
		}
		if _, replayed, err := a.orders.Create(t.Context(), placed, "shop", "key"); err != nil || !replayed {
			t.Errorf("the key is forgotten already: %v", err)
		}
		time.Sleep(26 * time.Hour)
		if _, replayed, err := a.orders.Create(t.Context(), placed, "shop", "key"); err != nil || replayed {
			t.Errorf("a day later the key is still there: %v", err)
		}
		if err := stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		pause(t.Context(), 5*time.Second)
		if took := time.Since(begun); took != 5*time.Second {
			t.Errorf("the drain delay of 5s took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun = time.Now()
		if pause(ctx, time.Hour); time.Since(begun) != time.Second {
			t.Errorf("an impatient end took %v", time.Since(begun))
		}
	})
}

// starting is a database that does not respond for a while.
type starting struct {
	Store
	refusals int
	err      error
	// hangs says that it does not even refuse after that.
	hangs bool
}

func (s *starting) Migrate(ctx context.Context) ([]string, error) {
	if s.refusals--; s.refusals >= 0 {
		return nil, s.err
	}
	if s.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []string{"00001_orders.sql"}, nil
}

func (s *starting) Migrated(context.Context) (bool, error) {
	s.refusals--
	return s.refusals < 0, nil
}

func TestMigrateWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := fmt.Errorf("%w: no route", order.ErrUnavailable)
		c := config.Database{Migrate: true, MigrateTimeout: time.Minute}
		begun := time.Now()
		if err := prepareSchema(t.Context(), &starting{refusals: 10, err: away}, c, zap.NewNop()); err != nil || time.Since(begun) != 10*time.Second {
			t.Errorf("a database that starts: %v after %v", err, time.Since(begun))
		}
		begun = time.Now()
		err := prepareSchema(t.Context(), &starting{refusals: 1000, err: away}, c, zap.NewNop())
		if err == nil || !errors.Is(err, order.ErrUnavailable) || !strings.Contains(err.Error(), "gave up after 1m0s") || time.Since(begun) != c.MigrateTimeout {
			t.Errorf("a database that never answers: %v after %v", err, time.Since(begun))
		}
		err = prepareSchema(t.Context(), &starting{refusals: 3, err: away, hangs: true}, c, zap.NewNop())
		if err == nil || !strings.Contains(err.Error(), "no route") {
			t.Errorf("the time is over during an attempt, and the one before is not what it says: %v", err)
		}
		broken := errors.New("syntax error")
		if err := prepareSchema(t.Context(), &starting{refusals: 1, err: broken}, c, zap.NewNop()); !errors.Is(err, broken) {
			t.Errorf("a migration that is wrong: %v", err)
		}
		c.Migrate = false // a Job migrates
		begun = time.Now()
		if err := prepareSchema(t.Context(), &starting{refusals: 10}, c, zap.NewNop()); err != nil || time.Since(begun) != 10*time.Second {
			t.Errorf("a schema that somebody else migrates: %v after %v", err, time.Since(begun))
		}
		if err := prepareSchema(t.Context(), &starting{refusals: 1000}, c, zap.NewNop()); !errors.Is(err, errNotMigrated) {
			t.Errorf("a schema that nobody migrates: %v", err)
		}
	})
}

func TestCleanups(t *testing.T) {
	t.Parallel()
	var c cleanups
	var order []string
	for _, name := range []string{"first", "second", "third"} {
		c.push(name, func(context.Context) error {
			order = append(order, name)
			if name != "second" {
				return errors.New("broke")
			}
			return nil
		})
	}
	err := c.run(t.Context())
	if got := strings.Join(order, " "); got != "third second first" {
		t.Errorf("order %s", got)
	}
	if err == nil || err.Error() != "stop third: broke\nstop first: broke" {
		t.Errorf("error %v", err)
	}
	if err := c.run(t.Context()); err != nil || len(order) != 3 {
		t.Errorf("run again: %v, %v", err, order)
	}
}
