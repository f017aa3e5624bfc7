package coverage

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ReadBinary reads what programs built with `go build -cover`, and test binaries with -test.gocoverdir, left in directories.
// It needs the go command, whose format this is. Directories without data are returned as empty: a job that had no test to
// run leaves one. If all are, it is an error.
func ReadBinary(ctx context.Context, dirs ...string) (p *Profile, empty []string, err error) {
	var filled []string
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(dir, "covmeta.*"))
		if err != nil {
			return nil, nil, err
		}
		if len(found) == 0 {
			empty = append(empty, dir)
			continue
		}
		filled = append(filled, dir)
	}
	if len(filled) == 0 {
		return nil, empty, fmt.Errorf("there is no coverage data in %s; was the program built with -cover, run with GOCOVERDIR, and did it end by itself?",
			strings.Join(empty, ", "))
	}
	out, err := os.CreateTemp("", "slipway-coverage-*.out")
	if err != nil {
		return nil, nil, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := exec.CommandContext(ctx, "go", "tool", "covdata", "textfmt", "-i="+strings.Join(filled, ","), "-o="+out.Name())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return nil, nil, fmt.Errorf("go tool covdata: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	p, err = Read(out)
	return p, empty, err
}
