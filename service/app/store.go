package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/zap"

	"gitlab.com/slipway-ci/slipway/service/config"
	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/postgres"
	"gitlab.com/slipway-ci/slipway/service/sqlite"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// Store is what the application needs of a store besides what the domain does.
type Store interface {
	order.Store
	Migrate(ctx context.Context) (applied []string, err error)
	Close() error
}

// OpenStore opens the store that the configuration names.
func OpenStore(ctx context.Context, c config.Database) (Store, error) {
	if path := c.Path(); path != "" {
		return sqlite.Open(ctx, path)
	}
	return postgres.Open(ctx, string(c.URL), c.MaxConns)
}

// MigrateOnly opens the store, brings its schema up to date and closes it; it logs to w.
func MigrateOnly(ctx context.Context, c config.Config, w io.Writer) error {
	level, err := zap.ParseAtomicLevel(c.Log.Level)
	if err != nil {
		return err
	}
	store, err := OpenStore(ctx, c.Database)
	if err != nil {
		return err
	}
	log, stop := telemetry.NewLogger(w, level, c.Log.Format)
	return errors.Join(migrate(ctx, store, log), store.Close(), stop())
}

const (
	migrateBudget = 60 * time.Second
	migratePause  = time.Second
)

// migrate brings the schema up to date. A database that does not answer yet is waited for: it may be starting, too.
func migrate(ctx context.Context, store Store, log *zap.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, migrateBudget)
	defer cancel()
	for {
		applied, err := store.Migrate(ctx)
		var unreachable *pgconn.ConnectError
		switch {
		case err == nil:
			if len(applied) > 0 {
				log.Info("migrated", zap.Strings("applied", applied))
			}
			return nil
		case !errors.As(err, &unreachable):
			return err
		}
		log.Warn("the database does not answer yet", zap.Error(err))
		if pause(ctx, migratePause); ctx.Err() != nil {
			return fmt.Errorf("%w (gave up after %s)", err, migrateBudget)
		}
	}
}
