package app

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"gitlab.com/slipway-ci/slipway/service/auth"
)

var errNotServing = errors.New("the service is starting or stopping: cannot reload")

// Reload loads the configuration again and applies the settings that may change at runtime, all or none of them.
func (a *App) Reload() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.Started() || a.Draining() {
		return errNotServing
	}
	err := a.reload()
	a.metrics.Reloaded(err, time.Now())
	if err != nil {
		a.log.Error("reload failed; the running configuration stays in effect", zap.Error(err))
	}
	return err
}

func (a *App) reload() error {
	loaded, err := a.source.Load()
	if err != nil {
		return err
	}
	keys, err := auth.ParseKeys(string(loaded.APIKeys))
	if err != nil {
		return err
	}
	level, err := zap.ParseAtomicLevel(loaded.Log.Level)
	if err != nil {
		return err
	}
	if a.certificate != nil {
		if err := a.certificate.reload(); err != nil {
			return err
		}
	}
	next, needRestart := a.config.Merge(&loaded.Config)
	if a.auth == nil && next.APIKeys != "" {
		needRestart = append(needRestart, "api_keys (none were set before)")
	}
	if err := a.public.SetLimits(limitsOf(next)); err != nil {
		return err
	}
	if err := a.watcher.watch(withCertificate(loaded.Files, a.config.HTTP)); err != nil {
		return fmt.Errorf("watch configuration: %w", err)
	}
	if a.auth != nil {
		a.auth.SetKeys(keys)
	}
	a.config = next
	a.level.SetLevel(level.Level())
	a.metrics.RestartNeeded(len(needRestart))
	a.log.Info("configuration loaded")
	if len(needRestart) > 0 {
		a.log.Warn("changed settings take effect after a restart", zap.Strings("settings", needRestart))
	}
	return nil
}
