package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Tail returns the last n lines of a file, each indented, for messages.
func Tail(path string, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return "  (no log)"
	}
	defer f.Close()
	const most = 64 << 10
	if info, err := f.Stat(); err == nil && info.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return "  (log cannot be read)"
		}
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return "  (log cannot be read)"
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	lines = lines[max(0, len(lines)-n):]
	for i, l := range lines {
		lines[i] = "  " + l[:min(len(l), 400)]
	}
	return strings.Join(lines, "\n")
}

// BoundLogs limits the size of every *.log in dir until ctx ends: a longer one is copied to *.log.1 and truncated. The
// parts open their logs with O_APPEND, so they continue at the new end. Several processes may call it concurrently; one
// of them does the work.
func BoundLogs(ctx context.Context, dir string, most int64, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := boundLogs(dir, most); err != nil {
			fmt.Fprintln(os.Stderr, "bound logs:", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func boundLogs(dir string, most int64) error {
	lock, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil // another process does it
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Size() > most {
			errs = append(errs, rotate(path))
		}
	}
	return errors.Join(errs...)
}

func rotate(path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path+".1", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return errors.Join(err, to.Close(), os.Truncate(path, 0))
}
