// Package flaky has tests that pass at the second attempt, for the fixtures of this directory.
package flaky

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// once fails the first time that a name is asked for.
func once(t *testing.T, name string) {
	t.Helper()
	file := filepath.Join(os.Getenv("FLAKY_DIR"), name)
	if _, err := os.Stat(file); err == nil {
		return
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Errorf("connection to %s refused", name)
}

func TestSteady(t *testing.T) { time.Sleep(20 * time.Millisecond) }

func TestFlaky(t *testing.T) { once(t, "database") }

func TestTable(t *testing.T) {
	t.Run("steady", func(t *testing.T) {})
	t.Run("flaky", func(t *testing.T) { once(t, "queue") })
}

func TestSkipped(t *testing.T) { t.Skip("not here") }

func TestBroken(t *testing.T) {
	if os.Getenv("FLAKY_BROKEN") != "" {
		t.Error("always")
	}
}
