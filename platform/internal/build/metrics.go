package build

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path/filepath"
)

// MetricsServer is the program in the folder that Source.MetricsServer returns.
const MetricsServer = "metrics-server"

// MetricsServer returns the folder with metrics-server below cache, and compiles it if it is missing.
func (s Source) MetricsServer(ctx context.Context, cache string, log io.Writer) (dir string, compiled bool, err error) {
	return s.once(ctx, cache, recipe{
		inputs:  []string{"metrics/go.mod", "metrics/go.sum"},
		compile: s.compileMetricsServer,
	}, log)
}

func (s Source) compileMetricsServer(ctx context.Context, into string, log io.Writer) error {
	module := filepath.Join(s.Dir, "metrics")
	if err := enoughSpace(ctx, module); err != nil {
		return err
	}
	fmt.Fprintln(log, "compiling metrics-server once: minutes without a build cache, seconds with one")
	var out bytes.Buffer
	if err := goCommand(ctx, module, &out, "build", "-trimpath", "-ldflags", "-s -w", "-o", into+string(filepath.Separator), "tool"); err != nil {
		return fmt.Errorf("compile metrics-server: %w\n%s", err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}
