package main_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/service/pgtest"
)

// maxBinary is the most that the program may weigh, in bytes.
const maxBinary = 32_000_000

const root = "../.."

// program is built once for all tests, as it is delivered.
var program string

func TestMain(m *testing.M) { pgtest.Main(withProgram{m}) }

type withProgram struct{ m *testing.M }

func (p withProgram) Run() int {
	folder, err := os.MkdirTemp("", "orders")
	if err == nil {
		defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
		program = filepath.Join(folder, "orders")
		err = build(root, program)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return p.m.Run()
}

func build(folder, output string) error {
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=v1 -X main.commit=abc", "-o", output, "./cmd/orders") // #nosec G204 -- our own arguments
	c.Dir, c.Env = folder, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func TestSize(t *testing.T) {
	t.Parallel()
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > maxBinary {
		t.Errorf("the program has %d bytes, at most %d are allowed", info.Size(), maxBinary)
	}
}

// TestReproducible builds the same sources in another folder and compares.
func TestReproducible(t *testing.T) {
	t.Parallel()
	if os.Getenv("SLIPWAY_TEST_GENERATED") != "1" {
		t.Skip("compiles for a minute: make test-generated")
	}
	elsewhere := t.TempDir()
	if err := os.CopyFS(elsewhere, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "orders")
	if err := build(elsewhere, again); err != nil {
		t.Fatal(err)
	}
	var sums [2][32]byte
	for i, path := range []string{program, again} {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(b)
	}
	if sums[0] != sums[1] {
		t.Errorf("two builds differ: %x and %x", sums[0], sums[1])
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), program, "version").Output()
	if err != nil || !strings.HasPrefix(string(out), "orders v1 (commit abc, go1.") {
		t.Errorf("%s, %v", out, err)
	}
}
