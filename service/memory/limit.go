// Package memory keeps the process within what it is given: it tells the garbage collector how much the container has,
// so that it works harder near the limit instead of being killed there, and gives back what only the start needed.
package memory

import (
	"io/fs"
	"math"
	"runtime/debug"
	"strconv"
	"strings"
)

// share of the container's limit that the Go heap may fill; the rest is for what Go does not count.
const share = 0.9

// Files with the limit, in cgroup v2 and v1, below /sys/fs/cgroup.
var files = []string{"memory.max", "memory/memory.limit_in_bytes"}

// SetLimit applies the limit found in the control groups in fsys, and returns it in bytes; 0 when there is none, or when
// gomemlimit (the environment's GOMEMLIMIT, which the runtime has read already) decides.
func SetLimit(fsys fs.FS, gomemlimit string) int64 {
	if gomemlimit != "" {
		return 0
	}
	limit := read(fsys)
	if limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	return limit
}

func read(fsys fs.FS) int64 {
	for _, name := range files {
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			continue
		}
		// "max", and in version 1 a number near 2^63, is no limit.
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err != nil || n <= 0 || n > math.MaxInt64/2 {
			return 0
		}
		return int64(float64(n) * share)
	}
	return 0
}
