package runner

import (
	"bytes"
	"errors"
	"os"
	"sync"
)

// A jobLog is the log of one attempt of a job. It accepts all output, since a job must not hang because the disk is full.
// It keeps the first error, and calls broken with it.
type jobLog struct {
	mu   sync.Mutex
	file *os.File
	err  error
	// broken is called once, with the first error.
	broken func(error)
	// lines, if set, gets every whole line.
	lines   func(string)
	partial []byte
}

func openLog(path string, broken func(error), lines func(string)) (*jobLog, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return &jobLog{file: file, broken: broken, lines: lines}, nil
}

func (l *jobLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		if _, err := l.file.Write(p); err != nil {
			l.err = err
			l.broken(err)
		}
	}
	if l.lines != nil {
		l.partial = append(l.partial, p...)
		for {
			line, rest, found := bytes.Cut(l.partial, []byte("\n"))
			if !found {
				break
			}
			l.lines(string(line))
			l.partial = rest
		}
	}
	return len(p), nil
}

// Close closes the file and returns the first error of all calls.
func (l *jobLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines != nil && len(l.partial) > 0 {
		l.lines(string(l.partial))
		l.partial = nil
	}
	return errors.Join(l.err, l.file.Close())
}
