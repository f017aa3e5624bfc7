package metrics

import (
	"bytes"
	"io/fs"
	"os"
	"runtime/metrics"
	"strconv"
	"syscall"
	"time"
)

// runtimeMetrics are the ones of the Go runtime that dashboards use, under the names that the official client gives them.
var runtimeMetrics = []struct{ kind, name, help, source string }{
	{"gauge", "go_goroutines", "Goroutines.", "/sched/goroutines:goroutines"},
	{"gauge", "go_sched_gomaxprocs_threads", "Threads that may run Go code at once.", "/sched/gomaxprocs:threads"},
	{"gauge", "go_memstats_heap_alloc_bytes", "Bytes in objects on the heap.", "/memory/classes/heap/objects:bytes"},
	{"gauge", "go_memstats_heap_idle_bytes", "Bytes of the heap that are free.", "/memory/classes/heap/free:bytes"},
	{"gauge", "go_memstats_sys_bytes", "Bytes that Go has from the system.", "/memory/classes/total:bytes"},
	{"gauge", "go_gc_gomemlimit_bytes", "Limit of memory, GOMEMLIMIT.", "/gc/gomemlimit:bytes"},
	{"counter", "go_gc_cycles_total", "Collections of garbage.", "/gc/cycles/total:gc-cycles"},
	{"counter", "go_gc_heap_allocs_bytes_total", "Bytes ever allocated on the heap.", "/gc/heap/allocs:bytes"},
	{"counter", "go_gc_heap_allocs_objects_total", "Objects ever allocated on the heap.", "/gc/heap/allocs:objects"},
	{"counter", "go_cpu_classes_gc_total_cpu_seconds_total", "Estimated CPU time that the collections took.", "/cpu/classes/gc/total:cpu-seconds"},
}

// AddRuntime adds metrics of the Go runtime and of the process to the registry.
func (r *Registry) AddRuntime(start time.Time) {
	for _, m := range runtimeMetrics {
		r.Func(m.kind, m.name, m.help, func() float64 { return readRuntime(m.source) })
	}
	r.Func("gauge", "process_start_time_seconds", "When the process began.", func() float64 { return float64(start.UnixMilli()) / 1e3 })
	r.Func("counter", "process_cpu_seconds_total", "CPU time of the process.", cpuSeconds)
	proc := os.DirFS("/proc/self")
	r.Func("gauge", "process_resident_memory_bytes", "Memory of the process that is in RAM.", func() float64 { return residentBytes(proc) })
	r.Func("gauge", "process_open_fds", "Open file descriptors.", func() float64 {
		entries, _ := fs.ReadDir(proc, "fd") // elsewhere than on Linux there are none
		return float64(len(entries))
	})
	r.Func("gauge", "process_max_fds", "Most file descriptors that may be open.", func() float64 {
		var limit syscall.Rlimit
		_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) // on failure 0
		return float64(limit.Cur)
	})
}

func readRuntime(source string) float64 {
	samples := []metrics.Sample{{Name: source}}
	metrics.Read(samples)
	switch v := samples[0].Value; v.Kind() {
	case metrics.KindUint64:
		return float64(v.Uint64())
	case metrics.KindFloat64:
		return v.Float64()
	}
	return 0
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // on failure 0
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// residentBytes reads the second number of /proc/self/statm, in pages.
func residentBytes(proc fs.FS) float64 {
	b, _ := fs.ReadFile(proc, "statm") // elsewhere than on Linux there is none
	fields := bytes.Fields(b)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(string(fields[1]), 64) // on failure 0
	return pages * float64(os.Getpagesize())
}
