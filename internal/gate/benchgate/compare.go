// Package benchgate compares two runs of Go benchmarks and separates regressions from noise, with the statistics of benchstat.
package benchgate

import (
	"errors"
	"fmt"
	"io"
	"math"
	"sort"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// A Key names a measurement: the package, the benchmark with its sub-benchmarks and GOMAXPROCS, and the unit.
type Key struct{ Package, Name, Unit string }

func (k Key) String() string {
	if k.Package == "" {
		return k.Name + " " + k.Unit
	}
	return k.Package + " " + k.Name + " " + k.Unit
}

// Runs are the values of each measurement, one for each time that the benchmark was run, in base units (sec, B).
type Runs map[Key][]float64

// Read reads the output of `go test -bench`. One without any benchmark is an error.
func Read(r io.Reader, name string) (Runs, error) {
	runs := Runs{}
	reader := benchfmt.NewReader(r, name)
	for reader.Scan() {
		result, ok := reader.Result().(*benchfmt.Result)
		if !ok {
			continue // not a benchmark, or metadata of a unit
		}
		for _, v := range result.Values {
			k := Key{result.GetConfig("pkg"), result.Name.String(), v.Unit}
			runs[k] = append(runs[k], v.Value)
		}
	}
	if err := reader.Err(); err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, fmt.Errorf("%s has no benchmark; write it with go test -run '^$' -bench . -count 10", name)
	}
	return runs, nil
}

// A Policy defines what a regression is.
type Policy struct {
	// Worse is how much worse a median may be, as a fraction: 0.1 is 10 %.
	Worse float64
	// Alpha is the significance level; 0.05 is usual.
	Alpha float64
	// Units are the ones that count, as in "sec/op" and "allocs/op"; all if empty.
	Units []string
}

// MinRuns is the least number of runs on each side with which a difference can be significant: with three, no order of the
// values has a probability below 0.05.
const MinRuns = 4

// A Change is a measurement of both runs.
type Change struct {
	Key
	Old, New float64
	// Delta is the change of the median as a fraction; positive is more. P is the p-value.
	Delta, P float64
	// Worse reports whether it is a regression.
	Worse bool
}

// higher are the units of which more is better, in addition to what a benchmark reports itself.
var higher = map[string]bool{"B/s": true, "MB/s": true}

// Compare compares the measurements of both runs, sorted by name. The error names measurements with too few values; they
// are not in the list.
func Compare(before, after Runs, p Policy) ([]Change, error) {
	var changes []Change
	var errs []error
	for k, old := range before {
		values, both := after[k]
		if !both || !counts(k.Unit, p.Units) {
			continue
		}
		if len(old) < MinRuns || len(values) < MinRuns {
			errs = append(errs, fmt.Errorf("%s was run %d and %d times, and %d are needed; use -count 10", k, len(old), len(values), MinRuns))
			continue
		}
		changes = append(changes, compare(k, old, values, p))
	}
	sort.Slice(changes, func(i, j int) bool { return changes[i].String() < changes[j].String() })
	sort.Slice(errs, func(i, j int) bool { return errs[i].Error() < errs[j].Error() })
	if len(changes) == 0 && len(errs) == 0 {
		return nil, errors.New("the two runs have no benchmark in common")
	}
	return changes, errors.Join(errs...)
}

func counts(unit string, units []string) bool {
	for _, u := range units {
		if u == unit {
			return true
		}
	}
	return len(units) == 0
}

func compare(k Key, old, values []float64, p Policy) Change {
	thresholds := benchmath.DefaultThresholds
	thresholds.CompareAlpha = p.Alpha
	a, b := benchmath.NewSample(old, &thresholds), benchmath.NewSample(values, &thresholds)
	assume := benchmath.AssumeNothing
	c := Change{Key: k, Old: assume.Summary(a, 0.95).Center, New: assume.Summary(b, 0.95).Center, P: assume.Compare(a, b).P}
	switch c.Old {
	case c.New:
		return c
	case 0:
		c.Delta = math.Inf(1)
	default:
		c.Delta = (c.New - c.Old) / c.Old
	}
	loss := c.Delta
	if higher[k.Unit] {
		loss = -loss
	}
	c.Worse = c.P < p.Alpha && loss > p.Worse
	return c
}
