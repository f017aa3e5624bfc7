// Package filelock locks files, across processes and within one.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// errHeld is the error of a lock that is held.
var errHeld = errors.New("another process has the lock")

// A Lock is an advisory lock that ends with the process that holds it, even if that is killed. Two locks of the same file
// exclude each other within one process, too.
type Lock struct{ file *os.File }

// Try takes the lock of a file without waiting; it returns nil if it is held.
func Try(path string, exclusive bool) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	switch err = tryLock(file, exclusive); {
	case err == nil:
		return &Lock{file}, nil
	case errors.Is(err, errHeld):
		return nil, file.Close()
	default:
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), file.Close())
	}
}

// Wait waits for the lock of a file; busy is called once if it has to.
func Wait(ctx context.Context, path string, exclusive bool, busy func()) (*Lock, error) {
	for first := true; ; first = false {
		l, err := Try(path, exclusive)
		if l != nil || err != nil {
			return l, err
		}
		if first && busy != nil {
			busy()
		}
		// flock that waits cannot be cancelled.
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// Write replaces the text about the holder in the locked file.
func (l *Lock) Write(text string) error {
	return errors.Join(l.file.Truncate(0), func() error { _, err := l.file.WriteAt([]byte(text), 0); return err }())
}

// Unlock releases the lock; it does nothing on a nil Lock.
func (l *Lock) Unlock() {
	if l != nil {
		// Closing alone is not enough: a child that is being started may still have the file open.
		_ = unlock(l.file)
		_ = l.file.Close()
	}
}

// Holder returns the text about the holder in the locked file.
func (l *Lock) Holder() (string, error) {
	content, err := os.ReadFile(l.file.Name())
	return strings.TrimSpace(string(content)), err
}
