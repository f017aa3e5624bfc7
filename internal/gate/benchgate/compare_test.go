package benchgate

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// output is what `go test -bench` writes for one benchmark of a package.
func output(pkg, name string, nanoseconds ...float64) string {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: linux\ngoarch: amd64\npkg: %s\n", pkg)
	for _, n := range nanoseconds {
		fmt.Fprintf(&b, "Benchmark%s-2\t1000\t%v ns/op\t%v MB/s\t16 B/op\t1 allocs/op\n", name, n, 1e6/n)
	}
	b.WriteString("PASS\nok  \t" + pkg + "\t1.0s\n")
	return b.String()
}

func read(t *testing.T, text string) Runs {
	t.Helper()
	r, err := Read(strings.NewReader(text), "bench.txt")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestCompare(t *testing.T) {
	t.Parallel()
	steady := []float64{100, 101, 99, 100, 102, 98, 100, 101}
	for _, test := range []struct {
		name string
		now  []float64
		p    Policy
		want []string
	}{
		{"the same", steady, Policy{Worse: 0.1, Alpha: 0.05}, nil},
		{"slower", []float64{130, 131, 129, 130, 132, 128, 130, 131}, Policy{Worse: 0.1, Alpha: 0.05}, []string{"m Parse-2 B/s", "m Parse-2 sec/op"}},
		{"slower, time counts", []float64{130, 131, 129, 130, 132, 128, 130, 131}, Policy{Worse: 0.1, Alpha: 0.05, Units: []string{"sec/op"}}, []string{"m Parse-2 sec/op"}},
		{"slower within limits", []float64{105, 106, 104, 105, 107, 103, 105, 106}, Policy{Worse: 0.1, Alpha: 0.05}, nil},
		{"faster", []float64{70, 71, 69, 70, 72, 68, 70, 71}, Policy{Worse: 0.1, Alpha: 0.05}, nil},
		{"noise", []float64{60, 200, 70, 190, 100, 85, 150, 99}, Policy{Worse: 0.01, Alpha: 0.05}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			changes, err := Compare(read(t, output("m", "Parse", steady...)), read(t, output("m", "Parse", test.now...)), test.p)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, c := range changes {
				if c.Worse {
					got = append(got, c.String())
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("worse (-want +got):\n%s\n%+v", diff, changes)
			}
		})
	}
}

func TestCompareErrors(t *testing.T) {
	t.Parallel()
	if _, err := Compare(read(t, output("m", "Parse", 1, 2, 3)), read(t, output("m", "Parse", 1, 2, 3, 4)), Policy{}); err == nil || !strings.Contains(err.Error(), "-count 10") {
		t.Errorf("too few runs: %v", err)
	}
	if _, err := Compare(read(t, output("m", "Parse", 1)), read(t, output("m", "Other", 1)), Policy{}); err == nil || !strings.Contains(err.Error(), "in common") {
		t.Errorf("nothing in common: %v", err)
	}
	for _, text := range []string{"", "PASS\n", "FAIL\tm [build failed]\n"} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			if _, err := Read(strings.NewReader(text), "bench.txt"); err == nil {
				t.Errorf("%q: no error", text)
			}
		})
	}
}
