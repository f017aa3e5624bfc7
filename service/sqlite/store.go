// Package sqlite keeps orders in a file: the default, which needs no server.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"gitlab.com/slipway-ci/slipway/service/order"
)

//go:embed migrations/*.sql
var migrations embed.FS

const maxReaders = 4

// Store is an [order.Store] in one file. SQLite has one writer at a time: writes share one connection, so that they
// queue here, where a context can end the waiting, instead of failing as "database is locked".
type Store struct {
	path        string
	write, read *sql.DB
	created     bool // there was no file: nothing can be lost before Migrate is done
}

// Open opens the file at path, or creates it; its folder must exist.
func Open(ctx context.Context, path string) (*Store, error) {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("open %s: its folder does not exist", path)
	}
	_, err := os.Stat(path)
	s := &Store{path: path, created: errors.Is(err, fs.ErrNotExist)}
	// synchronous=FULL: what was acknowledged survives a power cut, not only a crash of the process.
	s.write, err = open(path, "synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	s.write.SetMaxOpenConns(1)
	s.read, err = open(path, "query_only(1)")
	if err != nil {
		return nil, errors.Join(err, s.write.Close())
	}
	s.read.SetMaxOpenConns(maxReaders)
	s.read.SetMaxIdleConns(maxReaders)
	if !s.created { // otherwise Migrate is the first to use it
		if err := s.write.PingContext(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), s.Close())
		}
	}
	return s, nil
}

// open returns connections to the file that begin with these pragmas.
func open(path string, pragmas ...string) (*sql.DB, error) {
	query := url.Values{"_txlock": {"immediate"},
		"_pragma": append([]string{"busy_timeout(5000)", "journal_mode(WAL)", "cache_size(-2000)"}, pragmas...)}
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: query.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}

// Close waits for what is under way and closes the file.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// Migrate brings the schema up to date and returns the names of the migrations that it applied.
func (s *Store) Migrate(ctx context.Context) (applied []string, err error) {
	db := s.write
	if s.created {
		// A new file needs not to be safe on disk after each step of its making, only at the end: 8 ms less at the start.
		if db, err = open(s.path, "synchronous(OFF)"); err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(1)
		defer func() {
			_, syncErr := db.ExecContext(ctx, "PRAGMA synchronous=FULL; PRAGMA wal_checkpoint(TRUNCATE)")
			err = errors.Join(err, syncErr, db.Close())
			s.created = err != nil
		}()
	}
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, dir)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate %s: %w", s.path, err)
	}
	for _, r := range results {
		applied = append(applied, filepath.Base(r.Source.Path))
	}
	return applied, nil
}

// Ping reports whether the file can be read.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.read.ExecContext(ctx, "SELECT 1 FROM orders LIMIT 1")
	return err
}

const columns = "id, customer, currency, note, items, total, status, payment_id, attempt, version, created_at, updated_at"

// Create implements [order.Store].
func (s *Store) Create(ctx context.Context, o order.Order, key order.Key) (order.Order, bool, error) {
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

// claim takes the key for o, or finds what it was taken for.
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
func (s *Store) Get(ctx context.Context, id string) (order.Order, error) {
	o, err := scan(s.read.QueryRowContext(ctx, "SELECT "+columns+" FROM orders WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return o, order.ErrNotFound
	}
	return o, err
}

// List implements [order.Store].
func (s *Store) List(ctx context.Context, q order.Query) ([]order.Order, error) {
	where := []string{"1"}
	var args []any
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
	if q.After != "" {
		where, args = append(where, "id < ?"), append(args, q.After)
	}
	// #nosec G202 -- the conditions above are constants, values are arguments
	rows, err := s.read.QueryContext(ctx, "SELECT "+columns+" FROM orders WHERE "+strings.Join(where, " AND ")+
		" ORDER BY id DESC LIMIT ?", append(args, q.Limit)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err tells
	var orders []order.Order
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
func (s *Store) Update(ctx context.Context, o order.Order) error {
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
func (s *Store) ForgetKeys(ctx context.Context, t time.Time) (int64, error) {
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
