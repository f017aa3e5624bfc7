package postgres_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"uuid"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace/noop"

	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/pgtest"
	"gitlab.com/slipway-ci/slipway/service/postgres"
	"gitlab.com/slipway-ci/slipway/service/storetest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func open(t *testing.T, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), url, 8, noop.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) order.Store {
		s := open(t, pgtest.Database(t))
		if _, err := s.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s
	})
}

// TestMigrateTogether shows that instances that start concurrently apply each migration once.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	var all sync.WaitGroup
	counts := make([]int, 4)
	for i := range counts {
		s := open(t, url)
		all.Go(func() {
			applied, err := s.Migrate(t.Context())
			if err != nil {
				t.Error(err)
			}
			counts[i] = len(applied)
		})
	}
	all.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	if total != 2 {
		t.Errorf("the migrations were applied %v times, want once together", counts)
	}
}

// TestPingWhileBusy holds all connections: Ping has one of its own, and callers who wait can give up.
func TestPingWhileBusy(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s, err := postgres.Open(t.Context(), url, 1, noop.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	o := order.Order{ID: uuid.NewV7().String(), Items: []order.LineItem{}, Version: 1}
	if _, _, err := s.Create(t.Context(), o, order.Key{}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background()) //nolint:errcheck // the test is over
	if _, err := conn.Exec(t.Context(), "BEGIN; SELECT 1 FROM orders FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	o.Version = 2
	updated := make(chan error, 1)
	go func() { updated <- s.Update(t.Context(), o) }() // waits for the row, on the only connection
	for s.Pool().InUse == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Get(ctx, o.ID); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call that waits for a connection: %v", err)
	}
	if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if err := <-updated; err != nil {
		t.Errorf("the update after that: %v", err)
	}
}

// TestListsUseIndexes asks PostgreSQL how it executes each list that the API allows: it reads an index, in order, and filters nothing.
func TestListsUseIndexes(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	s := open(t, url)
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())                                                                     //nolint:errcheck // the test is over
	if _, err := conn.Exec(t.Context(), "SET enable_seqscan = off; SET enable_bitmapscan = off"); err != nil { // the table is empty
		t.Fatal(err)
	}
	for name, q := range storetest.Lists() {
		t.Run(name, func(t *testing.T) {
			query, args := postgres.ListQuery(q)
			rows, err := conn.Query(t.Context(), "EXPLAIN "+query, args...) // #nosec G202 -- the store's own query
			if err != nil {
				t.Fatal(err)
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			plan := strings.Join(lines, "\n")
			if !strings.Contains(plan, "Backward using orders_by_") || strings.Contains(plan, "Sort") || strings.Contains(plan, "Filter:") {
				t.Errorf("it is not read from an index, in order:\n%s", plan)
			}
		})
	}
}

func TestOpenRefusesOtherURLs(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	_, err := postgres.Open(t.Context(), "postgres://u:"+secret+"@host:port/x", 1, noop.NewTracerProvider())
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("want an error without the password, got %v", err)
	}
}
