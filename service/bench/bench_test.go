package main

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestMain lets the test's program be the servers that it starts, as the command does.
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

// want checks that everything was measured. Whether it is within the limits is for a quiet machine to say.
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

// TestBench measures little of everything; the service itself stands in for podinfo, which takes minutes to build.
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
	err = measurePrograms(&b, []program{orders, orders}, folder, 1)
	want(t, b.String(), err, "size", "size, compressed", "from exec to the first 200, new database", "memory (RSS), idle", "memory (RSS), under load")
	b.Reset()
	other := orders
	other.name, other.path = "other", "/openapi.yaml"
	err = compare(&b, []program{other}, folder, 1, 200)
	want(t, b.String(), err, "bare", "bare-otelhttp", "orders", "orders-traced", "orders-sqlite", "other")
}

func TestUnknownServer(t *testing.T) {
	if _, err := startServer("nope"); err == nil {
		t.Error("a server that there is not was started")
	}
}
