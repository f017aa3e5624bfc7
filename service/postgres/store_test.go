package postgres_test

import (
	"strings"
	"sync"
	"testing"

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

// TestMigrateTogether shows that instances that start at once apply each migration once.
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

func TestOpenRefusesOtherURLs(t *testing.T) {
	t.Parallel()
	const secret = "hunter2hunter2"
	_, err := postgres.Open(t.Context(), "postgres://u:"+secret+"@host:port/x", 1, noop.NewTracerProvider())
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("want an error without the password, got %v", err)
	}
}
