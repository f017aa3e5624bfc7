package app_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gitlab.com/slipway-ci/slipway/service/api"
	"gitlab.com/slipway-ci/slipway/service/pgtest"
	"gitlab.com/slipway-ci/slipway/service/testlog"
)

// TestPostgresAway kills the database's server under an instance: every route that needs it responds with 503 and Retry-After, the
// instance is not ready, but alive, and when the server runs again, it recovers without a restart.
func TestPostgresAway(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t)
	i := start(t, settings{"DATABASE_URL": server.URL})
	id := i.place(t).Id
	operations, err := api.Operations()
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]string{"application/json": basket, "application/merge-patch+json": "{}"}
	server.Stop()
	for round := range 2 { // the pool's old connections, and new ones
		for pattern, operation := range operations {
			method, path, _ := strings.Cut(pattern, " ")
			a := i.do(t, method, strings.Replace(path, "{id}", id, 1), bodies[operation.Body], "If-Match", "*", "Idempotency-Key", "k")
			if wantStatus(t, a, http.StatusServiceUnavailable); a.header.Get("Retry-After") == "" {
				t.Errorf("%s, round %d: no Retry-After", pattern, round)
			}
			if p := a.problem(t); strings.Contains(a.body, "pgtest") || !strings.Contains(*p.Detail, "database") {
				t.Errorf("%s, round %d: %s", pattern, round, a.body)
			}
		}
		if a := i.get(t, "/"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("the page: %d %v", a.status, a.header)
		}
	}
	if a := i.probe(t, "/readyz"); a.status != http.StatusServiceUnavailable || !strings.HasPrefix(a.body, "database: ") {
		t.Errorf("/readyz: %d %s", a.status, a.body)
	}
	wantStatus(t, i.probe(t, "/livez"), http.StatusOK)
	server.Start(t)
	testlog.Eventually(t, "readiness", func() bool { return i.probe(t, "/readyz").status == http.StatusOK })
	wantStatus(t, i.get(t, "/v1/orders/"+id), http.StatusOK)
	i.place(t)
}

// TestFullDisk fills the file system that the database is on: writes get 503 with Retry-After, reads succeed, /readyz
// reports the reason, and it recovers when there is space again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=1m"); err != nil {
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
			t.Skip("only root may mount a small file system")
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { // after the instance has stopped
		if err := syscall.Unmount(folder, 0); err != nil {
			t.Error(err)
		}
	})
	i := start(t, settings{"DATABASE_URL": "sqlite:" + filepath.Join(folder, "orders.db")})
	id := i.place(t).Id
	filler := filepath.Join(folder, "filler")
	if err := os.WriteFile(filler, make([]byte, 2<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the file system takes more than it has: %v", err)
	}
	var a answer
	testlog.Eventually(t, "a refused order", func() bool { // SQLite may have some space left in its own files
		a = i.do(t, http.MethodPost, "/v1/orders", basket)
		return a.status != http.StatusCreated
	})
	if wantStatus(t, a, http.StatusServiceUnavailable); a.header.Get("Retry-After") == "" {
		t.Errorf("no Retry-After: %v", a.header)
	}
	if a = i.probe(t, "/readyz"); a.status != http.StatusServiceUnavailable || !strings.Contains(a.body, "no space left") {
		t.Errorf("/readyz: %d %s", a.status, a.body)
	}
	wantStatus(t, i.get(t, "/v1/orders/"+id), http.StatusOK)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	testlog.Eventually(t, "readiness", func() bool { return i.probe(t, "/readyz").status == http.StatusOK })
	i.place(t)
}
