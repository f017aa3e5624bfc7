// Package testlog gives tests a log that a running service writes and they read, and lets them wait for what happens.
package testlog

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long tests wait for what must happen. It is not a limit that the service must keep: it only ends tests that would wait
// forever, also on a machine with little CPU time left.
const Patience = 2 * time.Minute

const pollInterval = 5 * time.Millisecond

// Buffer keeps what was written to it; it may be written and read concurrently. Its zero value is empty.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements [io.Writer].
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Wait waits until the log contains a text; if it does not come, it fails the test and shows the log.
func (b *Buffer) Wait(t testing.TB, text string) {
	t.Helper()
	if !poll(func() bool { return strings.Contains(b.String(), text) }) {
		t.Fatalf("the log does not say %q:\n%s", text, b.String())
	}
}

// Eventually waits until something has happened, and fails the test if it does not.
func Eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	if !poll(happened) {
		t.Fatalf("%s did not happen", what)
	}
}

// poll reports whether something happens within [Patience].
func poll(happened func() bool) bool {
	for end := time.Now().Add(Patience); time.Now().Before(end); time.Sleep(pollInterval) {
		if happened() {
			return true
		}
	}
	return false
}

// ReadsOutside tells Go's test cache that the test reads files outside of its module, which the cache does not see: it compares the
// variable OUTSIDE_FILES instead, a checksum of them that `make` sets.
func ReadsOutside() { _ = os.Getenv("OUTSIDE_FILES") }
