package memory_test

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"testing/fstest"

	"gitlab.com/slipway-ci/slipway/service/memory"
)

func TestSetLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	for name, test := range map[string]struct {
		files      map[string]string
		gomemlimit string
		want       int64
	}{
		"version 2":             {map[string]string{"memory.max": "100663296\n"}, "", 90596966},
		"version 1":             {map[string]string{"memory/memory.limit_in_bytes": "1000000000"}, "", 900000000},
		"no limit":              {map[string]string{"memory.max": "max\n"}, "", 0},
		"no limit in version 1": {map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712"}, "", 0},
		"no groups":             {nil, "", 0},
		"nonsense":              {map[string]string{"memory.max": "-5"}, "", 0},
		"GOMEMLIMIT decides":    {map[string]string{"memory.max": "100663296"}, "1GiB", 0},
	} {
		debug.SetMemoryLimit(math.MaxInt64)
		fsys := fstest.MapFS{}
		for path, content := range test.files {
			fsys[path] = &fstest.MapFile{Data: []byte(content)}
		}
		got := memory.SetLimit(fsys, test.gomemlimit)
		if got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
		if effective := debug.SetMemoryLimit(-1); got > 0 && effective != got || got == 0 && effective != math.MaxInt64 {
			t.Errorf("%s: the runtime's limit is %d", name, effective)
		}
	}
}

func TestTrim(t *testing.T) {
	t.Parallel()
	n, err := memory.Trim()
	if err != nil {
		t.Error(err)
	}
	if _, statErr := os.Stat("/proc/self/maps"); statErr == nil && runtime.GOOS == "linux" && n < 1<<16 {
		t.Errorf("%d bytes of code were found", n)
	}
}
