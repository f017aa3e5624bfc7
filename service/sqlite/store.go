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
	write, read *sql.DB
}

// Open opens the file at path, or creates it; its folder must exist.
func Open(ctx context.Context, path string) (*Store, error) {
	if info, err := os.Stat(filepath.Dir(path)); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("open %s: its folder does not exist", path)
	}
	// synchronous=FULL: what was acknowledged survives a power cut, not only a crash of the process.
	pragmas := url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)", "cache_size(-2000)"},
		"_txlock": {"immediate"},
	}
	dsn := func() string {
		return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: pragmas.Encode()}).String()
	}
	write, err := sql.Open("sqlite", dsn())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	write.SetMaxOpenConns(1)
	if err := write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), write.Close())
	}
	pragmas.Add("_pragma", "query_only(1)")
	read, err := sql.Open("sqlite", dsn())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), write.Close())
	}
	read.SetMaxOpenConns(maxReaders)
	read.SetMaxIdleConns(maxReaders)
	return &Store{write: write, read: read}, nil
}

// Close waits for what is under way and closes the file.
func (s *Store) Close() error { return errors.Join(s.read.Close(), s.write.Close()) }

// Migrate brings the schema up to date and returns the names of the migrations that it applied.
func (s *Store) Migrate(ctx context.Context) ([]string, error) {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.write, dir)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrate: %w", err)
	}
	applied := make([]string, len(results))
	for i, r := range results {
		applied[i] = filepath.Base(r.Source.Path)
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
	//nolint:gosec // G202: the conditions above are constants, values are arguments
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
