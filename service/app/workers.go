package app

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

const (
	reconcileEvery = 30 * time.Second
	forgetEvery    = time.Hour
)

// startWorkers starts the periodic tasks and returns the function that stops them.
func (a *App) startWorkers() (stop func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	every := func(interval time.Duration, work func(context.Context)) {
		running.Go(func() {
			ticker := time.NewTicker(interval)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					work(ctx)
				}
			}
		})
	}
	every(reconcileEvery, a.reconcile)
	every(forgetEvery, a.forgetKeys)
	a.metrics.Sample(time.Now())
	every(telemetry.SampleEvery, func(context.Context) { a.metrics.Sample(time.Now()) })
	return func(context.Context) error {
		cancel()
		running.Wait()
		return nil
	}
}

func (a *App) reconcile(ctx context.Context) {
	settled, err := a.orders.Reconcile(ctx)
	if settled > 0 {
		a.log.Info("settled pending payments", zap.Int("orders", settled))
	}
	if err != nil && ctx.Err() == nil {
		a.log.Warn("some payments cannot be settled yet", zap.Error(err))
	}
}

func (a *App) forgetKeys(ctx context.Context) {
	if _, err := a.orders.ForgetKeys(ctx); err != nil && ctx.Err() == nil {
		a.log.Warn("cannot remove old idempotency keys", zap.Error(err))
	}
}
