// Package testlog provides a log that a running service writes and tests read, and functions to wait for events.
package testlog

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// Patience is how long tests wait for an event. It is not a requirement for the service: it only ends tests that would wait
// forever, also on a busy machine.
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

// Wait waits until the log contains a text, or fails the test with the log.
func (b *Buffer) Wait(t testing.TB, text string) {
	t.Helper()
	if !poll(func() bool { return strings.Contains(b.String(), text) }) {
		t.Fatalf("the log does not contain %q:\n%s", text, b.String())
	}
}

// Eventually waits until something has happened, or fails the test.
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

// ReadsOutside makes Go's test cache depend on files outside of the module, which it does not see: it compares the variable
// OUTSIDE_FILES instead, a checksum of them that `make` sets.
func ReadsOutside() { _ = os.Getenv("OUTSIDE_FILES") }
