package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// BenchmarkProcess runs the command as people do, on this repository's own pipeline: from the start of the process, files
// read again, git asked.
func BenchmarkProcess(b *testing.B) {
	command := filepath.Join(b.TempDir(), "slipway")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", command, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"version", "plan", "lint"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				c := exec.CommandContext(b.Context(), command, name)
				c.Dir = filepath.Join("..", "..")
				if out, err := c.CombinedOutput(); err != nil {
					b.Fatalf("%v: %s", err, out)
				}
			}
		})
	}
}
