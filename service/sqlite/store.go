// Package sqlite stores orders in an SQLite file, the default.
package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/XSAM/otelsql"
	"github.com/pressly/goose/v3"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/schema"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	maxReaders = 4
	lockPause  = 20 * time.Millisecond // between attempts to lock the folder
)

// Store is an [order.Store] in one file. SQLite has one writer at a time: writes share one connection, so that they
// queue, cancellable by a context, instead of failing with "database is locked".
type Store struct {
	path        string
	write, read *sql.DB
	probe       *sql.DB     // for Ping, which must not wait for others
	full        atomic.Bool // the last write failed for lack of space
}

// Open opens the file at path, or creates it; its folder must exist and be writable. Queries become spans of traces.
func Open(ctx context.Context, path string, traces trace.TracerProvider) (*Store, error) {
	if err := checkFolder(path); err != nil {
		return nil, err
	}
	s := &Store{path: path}
	for _, db := range []struct {
		pool        **sql.DB
		connections int
		pragmas     string
	}{
		// synchronous=FULL: what was acknowledged survives a power cut, not only a crash of the process.
		{&s.write, 1, "synchronous(FULL)"}, {&s.read, maxReaders, "query_only(1)"}, {&s.probe, 1, "synchronous(FULL)"},
	} {
		opened, err := open(path, db.pragmas, traces)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		opened.SetMaxOpenConns(db.connections)
		opened.SetMaxIdleConns(db.connections)
		*db.pool = opened
	}
	if err := s.write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), s.Close())
	}
	return s, nil
}

// checkFolder returns a better error than SQLite's "unable to open database file".
func checkFolder(path string) error {
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); err != nil || !info.IsDir() {
		return fmt.Errorf("open %s: its folder does not exist", path)
	}
	if unix.Access(folder, unix.W_OK) != nil {
		absolute, _ := filepath.Abs(folder)
		return fmt.Errorf("open %s: user %d may not write to %s: set database.url (ORDERS_DATABASE_URL) to sqlite:PATH in a folder that this user may write to",
			path, os.Getuid(), absolute)
	}
	return nil
}

// open returns connections to the file with this pragma set.
func open(path, pragma string, traces trace.TracerProvider) (*sql.DB, error) {
	query := url.Values{"_txlock": {"immediate"}, "_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "cache_size(-2000)", pragma}}
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query.Encode()}
	db, err := otelsql.Open("sqlite", dsn.String(), otelsql.WithTracerProvider(traces), otelsql.WithAttributes(semconv.DBSystemNameSQLite),
		otelsql.WithSpanOptions(otelsql.SpanOptions{DisableErrSkip: true, OmitConnResetSession: true, OmitConnPrepare: true, OmitRows: true,
			OmitConnectorConnect: true, SpanFilter: withinTrace}))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

// withinTrace excludes queries outside of requests, as those of probes, from traces.
func withinTrace(ctx context.Context, _ otelsql.Method, _ string, _ []driver.NamedValue) bool {
	return trace.SpanFromContext(ctx).IsRecording()
}

// Close waits for running calls and closes the file.
func (s *Store) Close() error {
	var errs []error
	for _, db := range []*sql.DB{s.probe, s.read, s.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

func (s *Store) provider() (*goose.Provider, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.write, dir)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}

// Migrate brings the schema up to date and returns the names of the migrations that it applied. Processes that do so
// concurrently wait for each other.
func (s *Store) Migrate(ctx context.Context) (applied []string, err error) {
	provider, err := s.provider()
	if err != nil {
		return nil, err
	}
	unlock, err := lockFolder(ctx, s.path)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if applied, err = schema.Up(ctx, provider); err != nil {
		return nil, fmt.Errorf("%s: %w", s.path, err)
	}
	return applied, nil
}

// lockFolder waits for the lock of the folder that the file is in. SQLite's own locks are not enough: goose reads the version
// before the transaction of a migration begins. The file itself cannot be locked, since SQLite would lose its locks when the
// descriptor is closed.
func lockFolder(ctx context.Context, path string) (unlock func(), err error) {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(folder.Fd()), unix.LOCK_EX|unix.LOCK_NB) // #nosec G115 -- a descriptor
		switch {
		case err == nil:
			return func() { _ = folder.Close() }, nil // which unlocks it
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", folder.Name(), err), folder.Close())
		}
		select {
		case <-time.After(lockPause):
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("%s: another process migrates: %w", path, ctx.Err()), folder.Close())
		}
	}
}

// Migrated reports whether the schema is up to date.
func (s *Store) Migrated(ctx context.Context) (bool, error) {
	provider, err := s.provider()
	if err != nil {
		return false, err
	}
	pending, err := provider.HasPending(ctx)
	return !pending, err
}

// Ping returns an error unless the file can be read and, if the last write failed for lack of space, written again.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer s.classify(&err)
	if s.full.Load() {
		if _, err := s.probe.ExecContext(ctx, "CREATE TABLE space (x BLOB); INSERT INTO space VALUES (zeroblob(8192)); DROP TABLE space"); err != nil {
			return err
		}
		s.full.Store(false)
	}
	_, err = s.probe.ExecContext(ctx, "SELECT 1 FROM orders LIMIT 1")
	return err
}

// Pool returns the usage of the connections.
func (s *Store) Pool() telemetry.Pool {
	w, r := s.write.Stats(), s.read.Stats()
	return telemetry.Pool{InUse: w.InUse + r.InUse, Idle: w.Idle + r.Idle, Max: w.MaxOpenConnections + r.MaxOpenConnections,
		Waits: w.WaitCount + r.WaitCount, Waited: w.WaitDuration + r.WaitDuration}
}

// classify wraps temporary failures in [order.ErrUnavailable].
func (s *Store) classify(err *error) {
	var failure *sqlite.Error
	if !errors.As(*err, &failure) {
		return
	}
	switch failure.Code() & 0xff { // the rest of the code is detail
	case sqlite3.SQLITE_FULL:
		s.full.Store(true)
		*err = fmt.Errorf("%w: there is no space left for %s: %w", order.ErrUnavailable, s.path, *err)
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		*err = fmt.Errorf("%w: %w", order.ErrUnavailable, *err)
	}
}

const columns = "id, customer, currency, note, items, total, status, payment_id, attempt, version, created_at, updated_at"

// Create implements [order.Store].
func (s *Store) Create(ctx context.Context, o order.Order, key order.Key) (stored order.Order, replayed bool, err error) {
	defer s.classify(&err)
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return o, false, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing; before, the first error counts
	if key.Value != "" {
		earlier, replayed, err := claim(ctx, tx, o, key)
		if err != nil || replayed {
			return earlier, replayed, err
		}
	}
	items, err := json.Marshal(o.Items)
	if err != nil {
		return o, false, err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO orders ("+columns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		o.ID, o.Customer, o.Currency, o.Note, string(items), o.Total, o.Status, o.PaymentID, o.Attempt, o.Version,
		o.CreatedAt.UnixMicro(), o.UpdatedAt.UnixMicro())
	if err != nil {
		return o, false, err
	}
	return o, false, tx.Commit()
}

// claim stores the key for o, or returns the order that it was stored for.
func claim(ctx context.Context, tx *sql.Tx, o order.Order, key order.Key) (earlier order.Order, replayed bool, err error) {
	placed, err := json.Marshal(o)
	if err != nil {
		return o, false, err
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO idempotency_keys (client, key, fingerprint, placed, created_at)
		VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, key.Client, key.Value, key.Fingerprint, string(placed), o.CreatedAt.UnixMicro())
	if err != nil {
		return o, false, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return o, false, err
	}
	var fingerprint string
	err = tx.QueryRowContext(ctx, "SELECT fingerprint, placed FROM idempotency_keys WHERE client = ? AND key = ?",
		key.Client, key.Value).Scan(&fingerprint, &placed)
	if err != nil {
		return o, false, err
	}
	if fingerprint != key.Fingerprint {
		return o, false, order.ErrKeyReused
	}
	return earlier, true, json.Unmarshal(placed, &earlier)
}

// Get implements [order.Store].
func (s *Store) Get(ctx context.Context, id string) (o order.Order, err error) {
	defer s.classify(&err)
	o, err = scan(s.read.QueryRowContext(ctx, "SELECT "+columns+" FROM orders WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return o, order.ErrNotFound
	}
	return o, err
}

// listIndexes are the indexes that lists are read from, by whether they select a customer and a status. SQLite has no statistics here, and would
// choose one with fewer columns for some lists.
var listIndexes = map[[2]bool]string{{false, false}: "orders_by_time", {false, true}: "orders_by_status_and_time",
	{true, false}: "orders_by_customer_and_time", {true, true}: "orders_by_customer_status_and_time"}

// listQuery returns the query of a list and its arguments.
func listQuery(q order.Query) (query string, args []any) {
	where := []string{"1"}
	if q.Status != "" {
		where, args = append(where, "status = ?"), append(args, q.Status)
	}
	if q.Customer != "" {
		where, args = append(where, "customer = ?"), append(args, q.Customer)
	}
	if !q.CreatedFrom.IsZero() {
		where, args = append(where, "created_at >= ?"), append(args, q.CreatedFrom.UnixMicro())
	}
	if !q.CreatedBefore.IsZero() {
		where, args = append(where, "created_at < ?"), append(args, q.CreatedBefore.UnixMicro())
	}
	if !q.UpdatedBefore.IsZero() {
		where, args = append(where, "updated_at < ?"), append(args, q.UpdatedBefore.UnixMicro())
	}
	if q.After.ID != "" {
		where, args = append(where, "(created_at, id) < (?, ?)"), append(args, q.After.CreatedAt.UnixMicro(), q.After.ID)
	}
	index := listIndexes[[2]bool{q.Customer != "", q.Status != ""}]
	// #nosec G202 -- the index and the conditions above are constants, values are arguments
	return "SELECT " + columns + " FROM orders INDEXED BY " + index + " WHERE " + strings.Join(where, " AND ") + " ORDER BY created_at DESC, id DESC LIMIT ?", append(args, q.Limit)
}

// List implements [order.Store].
func (s *Store) List(ctx context.Context, q order.Query) (orders []order.Order, err error) {
	defer s.classify(&err)
	query, args := listQuery(q)
	rows, err := s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err reports errors
	for rows.Next() {
		o, err := scan(rows)
		if err != nil {
			return nil, err
		}
		orders = append(orders, o)
	}
	return orders, rows.Err()
}

// Update implements [order.Store].
func (s *Store) Update(ctx context.Context, o order.Order) (err error) {
	defer s.classify(&err)
	items, err := json.Marshal(o.Items)
	if err != nil {
		return err
	}
	result, err := s.write.ExecContext(ctx, `UPDATE orders SET note = ?, items = ?, total = ?, status = ?, payment_id = ?,
		attempt = ?, version = ?, updated_at = ? WHERE id = ? AND version = ?`,
		o.Note, string(items), o.Total, o.Status, o.PaymentID, o.Attempt, o.Version, o.UpdatedAt.UnixMicro(), o.ID, o.Version-1)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	return order.ErrChanged
}

// ForgetKeys implements [order.Store].
func (s *Store) ForgetKeys(ctx context.Context, t time.Time) (n int64, err error) {
	defer s.classify(&err)
	result, err := s.write.ExecContext(ctx, "DELETE FROM idempotency_keys WHERE created_at < ?", t.UnixMicro())
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func scan(row interface{ Scan(...any) error }) (o order.Order, err error) {
	var items []byte
	var created, updated int64
	err = row.Scan(&o.ID, &o.Customer, &o.Currency, &o.Note, &items, &o.Total, &o.Status, &o.PaymentID, &o.Attempt,
		&o.Version, &created, &updated)
	if err != nil {
		return o, err
	}
	o.CreatedAt, o.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
	return o, json.Unmarshal(items, &o.Items)
}
