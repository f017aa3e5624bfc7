// Package postgres stores orders in PostgreSQL.
package postgres

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/schema"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Store is an [order.Store] in a PostgreSQL database.
type Store struct {
	pool  *pgxpool.Pool
	probe *pgxpool.Pool // a connection for Ping, which must not wait for others
	lists chan struct{} // limits concurrent lists, so that they leave connections for other calls
}

// Open prepares a pool of at most maxConns connections to the database that url names, and one for Ping. It does not
// connect yet, so that the service can start while the database is unavailable. Queries become spans of traces.
func Open(ctx context.Context, url string, maxConns int, traces trace.TracerProvider) (*Store, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("database.url is not a PostgreSQL URL: want postgres://user:password@host:port/database")
	}
	config.MaxConns = int32(maxConns) // #nosec G115 -- the configuration allows 1 to 1000
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = time.Hour, 10*time.Minute
	probe := config.Copy()
	probe.MaxConns, probe.MinConns = 1, 0
	config.ConnConfig.Tracer = otelpgx.NewTracer(otelpgx.WithTracerProvider(traces),
		otelpgx.WithDisableConnectionDetailsInAttributes(), otelpgx.WithMeterProvider(noop.NewMeterProvider()))
	s := &Store{lists: make(chan struct{}, max(1, maxConns/2))}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if s.probe, err = pgxpool.NewWithConfig(ctx, probe); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return s, nil
}

// Close waits for running calls and closes the connections.
func (s *Store) Close() error {
	s.pool.Close()
	s.probe.Close()
	return nil
}

// provide calls use with the migrations; concurrent instances wait for each other on an advisory lock.
func (s *Store) provide(use func(*goose.Provider) error) error {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker()
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(s.pool)
	defer db.Close() //nolint:errcheck // closes the handle only, not the pool
	provider, err := goose.NewProvider(goose.DialectPostgres, db, dir, goose.WithSessionLocker(locker))
	if err != nil {
		return fmt.Errorf("read migrations: %w", err)
	}
	return use(provider)
}

// Migrate brings the schema up to date and returns the names of the migrations that it applied.
func (s *Store) Migrate(ctx context.Context) (applied []string, err error) {
	defer classify(&err)
	err = s.provide(func(p *goose.Provider) error {
		applied, err = schema.Up(ctx, p)
		return err
	})
	return applied, err
}

// Migrated reports whether the schema is up to date.
func (s *Store) Migrated(ctx context.Context) (done bool, err error) {
	defer classify(&err)
	err = s.provide(func(p *goose.Provider) error {
		pending, err := p.HasPending(ctx)
		done = !pending
		return err
	})
	return done, err
}

// Ping returns an error unless the database responds and has the schema.
func (s *Store) Ping(ctx context.Context) (err error) {
	defer classify(&err)
	_, err = s.probe.Exec(ctx, "SELECT 1 FROM orders LIMIT 1")
	return err
}

// Pool returns the usage of the connections.
func (s *Store) Pool() telemetry.Pool {
	stat := s.pool.Stat()
	return telemetry.Pool{InUse: int(stat.AcquiredConns()), Idle: int(stat.IdleConns()), Max: int(stat.MaxConns()),
		Waits: stat.EmptyAcquireCount(), Waited: stat.EmptyAcquireWaitTime()}
}

// classify wraps temporary failures in [order.ErrUnavailable]: the server is unreachable, stopping or starting.
func classify(err *error) {
	if *err == nil || errors.Is(*err, context.Canceled) || errors.Is(*err, context.DeadlineExceeded) {
		return
	}
	var refused *pgconn.ConnectError
	var answered *pgconn.PgError
	var network net.Error
	away := errors.As(*err, &refused) || errors.As(*err, &network) || errors.Is(*err, io.EOF) || errors.Is(*err, io.ErrUnexpectedEOF) ||
		errors.Is(*err, net.ErrClosed) || strings.Contains((*err).Error(), "conn closed")
	if errors.As(*err, &answered) {
		switch answered.Code[:2] { // the class: PostgreSQL, appendix A
		case "08", "53", "57": // connection, resources, operator
			away = true
		default:
			away = errors.As(*err, &refused)
		}
	}
	if away {
		*err = fmt.Errorf("%w: %w", order.ErrUnavailable, *err)
	}
}

const columns = "id, customer, currency, note, items, total, status, payment_id, attempt, version, created_at, updated_at"

// Create implements [order.Store].
func (s *Store) Create(ctx context.Context, o order.Order, key order.Key) (stored order.Order, replayed bool, err error) {
	defer classify(&err)
	stored = o
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if key.Value != "" {
			stored, replayed, err = claim(ctx, tx, o, key)
			if err != nil || replayed {
				return err
			}
		}
		_, err := tx.Exec(ctx, "INSERT INTO orders ("+columns+") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
			o.ID, o.Customer, o.Currency, o.Note, o.Items, o.Total, o.Status, o.PaymentID, o.Attempt, o.Version,
			o.CreatedAt, o.UpdatedAt)
		return err
	})
	return stored, replayed, err
}

// claim stores the key for o, or returns the order that it was stored for. The insert waits for a transaction that is storing the
// same key.
func claim(ctx context.Context, tx pgx.Tx, o order.Order, key order.Key) (earlier order.Order, replayed bool, err error) {
	tag, err := tx.Exec(ctx, `INSERT INTO idempotency_keys (client, key, fingerprint, placed, created_at)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, key.Client, key.Value, key.Fingerprint, o, o.CreatedAt)
	if err != nil || tag.RowsAffected() == 1 {
		return o, false, err
	}
	var fingerprint string
	var placed []byte
	err = tx.QueryRow(ctx, "SELECT fingerprint, placed FROM idempotency_keys WHERE client = $1 AND key = $2",
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
	defer classify(&err)
	o, err = scan(s.pool.QueryRow(ctx, "SELECT "+columns+" FROM orders WHERE id = $1", id))
	if errors.Is(err, pgx.ErrNoRows) {
		return o, order.ErrNotFound
	}
	return o, err
}

// listQuery returns the query of a list and its arguments.
func listQuery(q order.Query) (query string, args []any) {
	where := []string{"true"}
	and := func(condition string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf("%s $%d", condition, len(args)))
	}
	if q.Status != "" {
		and("status =", q.Status)
	}
	if q.Customer != "" {
		and("customer =", q.Customer)
	}
	if !q.CreatedFrom.IsZero() {
		and("created_at >=", q.CreatedFrom)
	}
	if !q.CreatedBefore.IsZero() {
		and("created_at <", q.CreatedBefore)
	}
	if !q.UpdatedBefore.IsZero() {
		and("updated_at <", q.UpdatedBefore)
	}
	if q.After.ID != "" {
		args = append(args, q.After.CreatedAt, q.After.ID)
		where = append(where, fmt.Sprintf("(created_at, id) < ($%d, $%d)", len(args)-1, len(args)))
	}
	args = append(args, q.Limit)
	// #nosec G202 -- the conditions above are constants, values are arguments
	return "SELECT " + columns + " FROM orders WHERE " + strings.Join(where, " AND ") +
		fmt.Sprintf(" ORDER BY created_at DESC, id DESC LIMIT $%d", len(args)), args
}

// List implements [order.Store].
func (s *Store) List(ctx context.Context, q order.Query) (orders []order.Order, err error) {
	defer classify(&err)
	select {
	case s.lists <- struct{}{}:
		defer func() { <-s.lists }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	query, args := listQuery(q)
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (order.Order, error) { return scan(row) })
}

// Update implements [order.Store].
func (s *Store) Update(ctx context.Context, o order.Order) (err error) {
	defer classify(&err)
	tag, err := s.pool.Exec(ctx, `UPDATE orders SET note = $1, items = $2, total = $3, status = $4, payment_id = $5,
		attempt = $6, version = $7, updated_at = $8 WHERE id = $9 AND version = $10`,
		o.Note, o.Items, o.Total, o.Status, o.PaymentID, o.Attempt, o.Version, o.UpdatedAt, o.ID, o.Version-1)
	if err == nil && tag.RowsAffected() == 0 {
		return order.ErrChanged
	}
	return err
}

// ForgetKeys implements [order.Store].
func (s *Store) ForgetKeys(ctx context.Context, t time.Time) (n int64, err error) {
	defer classify(&err)
	tag, err := s.pool.Exec(ctx, "DELETE FROM idempotency_keys WHERE created_at < $1", t)
	return tag.RowsAffected(), err
}

func scan(row pgx.Row) (o order.Order, err error) {
	err = row.Scan(&o.ID, &o.Customer, &o.Currency, &o.Note, &o.Items, &o.Total, &o.Status, &o.PaymentID, &o.Attempt,
		&o.Version, &o.CreatedAt, &o.UpdatedAt)
	o.CreatedAt, o.UpdatedAt = o.CreatedAt.UTC(), o.UpdatedAt.UTC()
	return o, err
}
