package app

import (
	"context"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// settle is how long files must be quiet before they are read: editors and kubelet change several at once.
const settle = 200 * time.Millisecond

// watch reloads when a file changes that the configuration came from. It watches the folders: an editor replaces a file,
// and Kubernetes replaces the link ..data that all files of a ConfigMap or Secret go through, so the file itself would be
// watched once and never again.
func (a *App) watch(files []string) (stop func(context.Context) error, err error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, file := range files {
		folder := filepath.Dir(file)
		names[filepath.Clean(file)], names[filepath.Join(folder, "..data")] = true, true
		if err := watcher.Add(folder); err != nil {
			_ = watcher.Close() // the first error counts
			return nil, err
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		quiet := time.NewTimer(time.Hour)
		defer quiet.Stop()
		quiet.Stop()
		for {
			select {
			case event, open := <-watcher.Events:
				if !open {
					return
				}
				if names[filepath.Clean(event.Name)] && !event.Has(fsnotify.Chmod) {
					quiet.Reset(settle)
				}
			case err := <-watcher.Errors:
				if err != nil {
					a.log.Warn("watch configuration", zap.Error(err))
				}
			case <-quiet.C:
				_ = a.Reload() // it has logged the error and counted it
			}
		}
	}()
	return func(context.Context) error {
		err := watcher.Close()
		<-done
		return err
	}, nil
}
