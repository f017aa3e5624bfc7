package main

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test binary run as the servers that it starts, as the command does.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		if err := run(os.Args[1:], os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	os.Exit(m.Run())
}

// want checks that all rows were measured. Whether they are within the limits can only be judged on a quiet machine.
func want(t *testing.T, out string, err error, rows ...string) {
	t.Helper()
	if err != nil && !strings.HasSuffix(err.Error(), "above the limit") {
		t.Fatal(err)
	}
	for _, row := range rows {
		if !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool { return strings.HasPrefix(line, row+" ") }) {
			t.Errorf("%s was not measured:\n%s", row, out)
		}
	}
}

// TestBench measures a little of everything; the service itself stands in for podinfo, which takes minutes to build.
func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program")
	}
	var b strings.Builder
	folder := t.TempDir()
	orders, err := buildOrders(folder)
	if err != nil {
		t.Fatal(err)
	}
	err = measurePrograms(&b, orders, &orders, folder, 1)
	want(t, b.String(), err, "size", "size, compressed", "from exec to the first 200, new database", "memory (RSS), idle", "memory (RSS), under load")
	if n := strings.Count(b.String(), "x podinfo, at most 1.60x"); n != 2 {
		t.Errorf("%d starts are compared with podinfo's, want 2:\n%s", n, b.String())
	}
	b.Reset()
	other := orders
	other.name, other.path = "other", "/openapi.yaml"
	err = compare(&b, []program{other}, folder, 1, 200)
	want(t, b.String(), err, "bare", "bare-otelhttp", "orders", "orders-traced", "orders-sqlite", "other")
}

// TestLimits judges figures beside podinfo's, and without podinfo.
func TestLimits(t *testing.T) {
	start := figure{name: "start", limit: 40, unit: "ms", ratio: 1.6}
	size := figure{name: "size", limit: 32, unit: "MB"}
	for name, test := range map[string]struct {
		figure  figure
		value   float64
		podinfo float64 // 0 if it is not measured
		row     string
		ok      bool
	}{
		"a start within the ratio":     {start, 145, 128, "start 205 ms 145.0 128.0 1.13x podinfo, at most 1.60x", true},
		"a start above the ratio":      {start, 41, 25, "start 40 ms 41.0 25.0 1.64x podinfo, at most 1.60x above the limit", false},
		"a start without podinfo":      {start, 40, 0, "start 40 ms 40.0", true},
		"a slow start without podinfo": {start, 41, 0, "start 40 ms 41.0 above the limit", false},
		"a size is not compared":       {size, 31, 10, "size 32 MB 31.0 10.0", true},
		"a size above the limit":       {size, 33, 40, "size 32 MB 33.0 40.0 above the limit", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := test.figure
			f.value = test.value
			var podinfo *figure
			if test.podinfo > 0 {
				podinfo = &figure{value: test.podinfo}
			}
			var b strings.Builder
			if ok := f.report(&b, podinfo); ok != test.ok {
				t.Errorf("within the limit: %v, want %v", ok, test.ok)
			}
			if row := strings.Join(strings.Fields(b.String()), " "); row != test.row {
				t.Errorf("row %q, want %q", row, test.row)
			}
		})
	}
}

func TestUnknownServer(t *testing.T) {
	if _, err := startServer("nope"); err == nil {
		t.Error("an unknown server was started")
	}
}
