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

// ReadBinary reads what programs built with `go build -cover` left in the directories that GOCOVERDIR named. It needs the
// go command, whose format this is.
func ReadBinary(ctx context.Context, dirs ...string) (*Profile, error) {
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(dir, "covmeta.*"))
		if err != nil {
			return nil, err
		}
		if len(found) == 0 {
			return nil, fmt.Errorf("%s has no coverage data; was the program built with -cover, run with GOCOVERDIR=%s, and did it end by itself?", dir, dir)
		}
	}
	out, err := os.CreateTemp("", "slipway-coverage-*.out")
	if err != nil {
		return nil, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	cmd := exec.CommandContext(ctx, "go", "tool", "covdata", "textfmt", "-i="+strings.Join(dirs, ","), "-o="+out.Name())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go tool covdata: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	return Read(out)
}
