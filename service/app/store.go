package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.uber.org/zap"

	"gitlab.com/slipway-ci/slipway/service/config"
	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/postgres"
	"gitlab.com/slipway-ci/slipway/service/sqlite"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// Store is an order.Store with what the lifecycle needs.
type Store interface {
	order.Store
	// Migrate brings the schema up to date and returns the names of the migrations that it applied.
	Migrate(ctx context.Context) (applied []string, err error)
	// Migrated reports whether the schema is up to date.
	Migrated(ctx context.Context) (bool, error)
	// Pool returns the usage of the connections.
	Pool() telemetry.Pool
	Close() error
}

// OpenStore opens the store that the configuration names.
func OpenStore(ctx context.Context, c config.Database, traces *telemetry.Traces) (Store, error) {
	if path := c.Path(); path != "" {
		return sqlite.Open(ctx, path, traces)
	}
	return postgres.Open(ctx, string(c.URL), c.MaxConns, traces)
}

// MigrateOnly migrates the store's schema and logs to w.
func MigrateOnly(ctx context.Context, c config.Config, w io.Writer) error {
	level, err := zap.ParseAtomicLevel(c.Log.Level)
	if err != nil {
		return err
	}
	store, err := OpenStore(ctx, c.Database, telemetry.NoTraces())
	if err != nil {
		return err
	}
	c.Database.Migrate = true
	log, stop := telemetry.NewLogger(w, level, c.Log.Format)
	return errors.Join(prepareSchema(ctx, store, c.Database, log), store.Close(), stop())
}

const schemaPause = time.Second

var errNotMigrated = errors.New("the schema is not up to date: waiting for orders migrate")

// prepareSchema migrates the schema or, with database.migrate=false, waits until it is migrated. It retries while the database
// does not respond, since that may be starting, too.
func prepareSchema(ctx context.Context, store Store, c config.Database, log *zap.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, c.MigrateTimeout)
	defer cancel()
	prepare := func() error {
		applied, err := store.Migrate(ctx)
		if len(applied) > 0 {
			log.Info("migrated", zap.Strings("applied", applied))
		}
		return err
	}
	if !c.Migrate {
		prepare = func() error {
			if done, err := store.Migrated(ctx); err != nil || done {
				return err
			}
			return errNotMigrated
		}
	}
	var before error
	for {
		err := prepare()
		if before != nil && errors.Is(err, context.DeadlineExceeded) {
			err = before // that the time was over says nothing about the database
		}
		wait := errors.Is(err, order.ErrUnavailable) || errors.Is(err, errNotMigrated)
		if wait {
			log.Warn("the database is not ready", zap.Error(err))
			before = err
			pause(ctx, schemaPause)
		}
		switch {
		case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
			return fmt.Errorf("%w (gave up after %s, database.migrate_timeout)", err, c.MigrateTimeout)
		case !wait || ctx.Err() != nil:
			return err
		}
	}
}
