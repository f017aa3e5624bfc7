package gotest

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
)

// Timings are the seconds that packages took, by import path.
type Timings map[string]float64

// ReadTimings takes the time of each package from a run's events. A package that was run several times took the longest;
// one whose result came from the cache is ignored.
func ReadTimings(r io.Reader) (Timings, error) {
	t, cached := Timings{}, map[string]bool{}
	err := readEvents(r, func(e event) {
		if e.Test != "" {
			return
		}
		switch e.Action {
		case "start":
			delete(cached, e.Package)
		case "output":
			// ok  	example.com/m/a	(cached)
			if strings.HasPrefix(e.Output, "ok") && strings.Contains(e.Output, "(cached)") {
				cached[e.Package] = true
			}
		case "pass", "fail":
			if !cached[e.Package] {
				t[e.Package] = max(t[e.Package], e.Elapsed)
			}
		}
	})
	return t, err
}

// Shard returns the packages of one of total shards, index counted from 1, sorted by name. The longest packages are dealt
// out first, each to the shard that has the least to do, so every job that asks gets an answer that fits the others'.
// A package without a time is taken for a median one.
func Shard(packages []string, t Timings, index, total int) ([]string, error) {
	if total < 1 || index < 1 || index > total {
		return nil, fmt.Errorf("there is no shard %d of %d", index, total)
	}
	unique := map[string]bool{}
	var list []string
	for _, p := range packages {
		if p == "" {
			return nil, errors.New("a package has no name")
		}
		if !unique[p] {
			unique[p] = true
			list = append(list, p)
		}
	}
	unknown := median(list, t)
	seconds := func(p string) float64 {
		if s, known := t[p]; known {
			return s
		}
		return unknown
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := seconds(list[i]), seconds(list[j])
		return a > b || a == b && list[i] < list[j]
	})
	load, count := make([]float64, total), make([]int, total)
	var mine []string
	for _, p := range list {
		least := 0
		for i := range load {
			// Packages that take no time are shared out by number.
			if load[i] < load[least] || load[i] == load[least] && count[i] < count[least] {
				least = i
			}
		}
		load[least] += seconds(p)
		count[least]++
		if least == index-1 {
			mine = append(mine, p)
		}
	}
	sort.Strings(mine)
	return mine, nil
}

// median is the middle one of the known times of some packages; a second if none is known.
func median(packages []string, t Timings) float64 {
	var known []float64
	for _, p := range packages {
		if s, ok := t[p]; ok {
			known = append(known, s)
		}
	}
	if len(known) == 0 {
		return 1
	}
	sort.Float64s(known)
	return known[len(known)/2]
}
