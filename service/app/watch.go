package app

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"
)

// settle is how long files must stay unchanged before they are read: editors and kubelet change several together.
const settle = 200 * time.Millisecond

// watcher reloads the configuration when one of its files changes. It watches the folders, since a watch on a file ends when the
// file is replaced: editors do that, and kubelet replaces the link ..data that all files of a ConfigMap or Secret go through.
type watcher struct {
	notify *fsnotify.Watcher
	done   chan struct{}
	mu     sync.Mutex
	names  map[string]bool
}

func newWatcher(files []string, log *zap.Logger, reload func() error) (*watcher, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	w := &watcher{notify: notify, done: make(chan struct{})}
	if err := w.watch(files); err != nil {
		return nil, errors.Join(err, notify.Close())
	}
	go w.run(log, reload)
	return w, nil
}

// watch sets the files to watch.
func (w *watcher) watch(files []string) error {
	names := map[string]bool{}
	var errs []error
	for _, file := range files {
		folder := filepath.Dir(file)
		names[filepath.Clean(file)], names[filepath.Join(folder, "..data")] = true, true
		errs = append(errs, w.notify.Add(folder))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.names = names
	return errors.Join(errs...)
}

func (w *watcher) watches(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names[filepath.Clean(name)]
}

func (w *watcher) run(log *zap.Logger, reload func() error) {
	defer close(w.done)
	quiet := time.NewTimer(time.Hour)
	defer quiet.Stop()
	quiet.Stop()
	for {
		select {
		case event, open := <-w.notify.Events:
			if !open {
				return
			}
			if w.watches(event.Name) && !event.Has(fsnotify.Chmod) {
				quiet.Reset(settle)
			}
		case err := <-w.notify.Errors:
			if err != nil {
				log.Warn("watch configuration", zap.Error(err))
			}
		case <-quiet.C:
			_ = reload() // it has logged the error and counted it
		}
	}
}

func (w *watcher) stop(context.Context) error {
	err := w.notify.Close()
	<-w.done
	return err
}
