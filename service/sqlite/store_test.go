package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"uuid"

	"go.uber.org/goleak"

	"go.opentelemetry.io/otel/trace/noop"

	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/sqlite"
	"gitlab.com/slipway-ci/slipway/service/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path, noop.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) order.Store { return open(t, filepath.Join(t.TempDir(), "a file?#%.db")) })
}

func TestMigrateOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	for _, want := range []int{2, 0} {
		s, err := sqlite.Open(t.Context(), path, noop.NewTracerProvider())
		if err != nil {
			t.Fatal(err)
		}
		applied, err := s.Migrate(t.Context())
		if err != nil || len(applied) != want {
			t.Errorf("Migrate applied %v, %v; want %d", applied, err, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	garbage := filepath.Join(folder, "garbage")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is no database\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(folder, "missing", "orders.db"), garbage} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			s, err := sqlite.Open(t.Context(), path, noop.NewTracerProvider())
			if err == nil {
				_ = s.Close()
				t.Errorf("%s was opened", path)
			} else if !strings.Contains(err.Error(), path) {
				t.Errorf("the error does not name %s: %v", path, err)
			}
		})
	}
}

// TestWriterWaits shows that writes queue until their context ends, and that readers do not wait for them.
func TestWriterWaits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "orders.db")
	busy, other := open(t, path), open(t, path)
	release := busy.Hold(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := busy.Create(ctx, order.Order{ID: uuid.NewV7().String()}, order.Key{}); err == nil {
		t.Error("a write succeeded while another one held the file")
	}
	if _, err := other.List(t.Context(), order.Query{Limit: 1}); err != nil {
		t.Errorf("a reader: %v", err)
	}
	release()
	if _, _, err := busy.Create(t.Context(), order.Order{ID: uuid.NewV7().String(), Items: []order.LineItem{}}, order.Key{}); err != nil {
		t.Errorf("after that: %v", err)
	}
}

// TestListsUseIndexes asks SQLite how it executes each list that the API allows: it reads an index, in order, and sorts nothing.
func TestListsUseIndexes(t *testing.T) {
	t.Parallel()
	s := open(t, filepath.Join(t.TempDir(), "orders.db"))
	for name, q := range storetest.Lists() {
		t.Run(name, func(t *testing.T) {
			plan := s.Plan(t, q)
			want := "USING INDEX orders_by_time"
			switch {
			case q.Customer != "" && q.Status != "":
				want = "USING INDEX orders_by_customer_status_and_time"
			case q.Customer != "":
				want = "USING INDEX orders_by_customer_and_time"
			case q.Status != "":
				want = "USING INDEX orders_by_status_and_time"
			}
			if !strings.Contains(plan, want+" ") && !strings.Contains(plan, want+"\n") || strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("want %s, in order:\n%s", want, plan)
			}
		})
	}
}
