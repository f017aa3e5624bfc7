package gotest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func fixture(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFindFlaky(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"flaky.json", "broken.json"} {
		t.Run(name, func(t *testing.T) {
			list, err := FindFlaky(bytes.NewReader(fixture(t, name)))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range list {
				got = append(got, fmt.Sprintf("%s %d/%d", f.Test, f.Failures, f.Runs))
			}
			if diff := cmp.Diff([]string{"TestFlaky 1/2", "TestTable/flaky 1/2"}, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			if !strings.Contains(list[0].Output, "connection to database refused") {
				t.Errorf("output %q", list[0].Output)
			}
			var b bytes.Buffer
			WriteFlaky(&b, list)
			if !strings.Contains(b.String(), "| `TestFlaky` | `example.com/flaky` | 1 of 2 |") {
				t.Error(b.String())
			}
		})
	}
}

// TestNamesInMarkdown writes the name of a subtest with characters that Markdown and HTML take as their own.
func TestNamesInMarkdown(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	WriteFlaky(&b, []Flaky{{Package: "example.com/flaky", Test: "TestX/a|b`<d>&", Failures: 1, Runs: 2}})
	for _, want := range []string{"| `TestX/a\\|b'<d>&` | `example.com/flaky` | 1 of 2 |", "<code>TestX/a|b`&lt;d&gt;&amp;</code>"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%s\nwant %s", b.String(), want)
		}
	}
}

func TestReadEvents(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"empty": "", "no event": "FAIL\n", "cut off": `{"Action":"pa`} {
		t.Run(name, func(t *testing.T) {
			if _, err := FindFlaky(strings.NewReader(text)); err == nil {
				t.Errorf("%s: no error", name)
			}
		})
	}
	if _, err := FindFlaky(strings.NewReader("# example.com/m\n{\"Action\":\"start\",\"Package\":\"p\"}\n")); err != nil {
		t.Error(err)
	}
}

func TestReadTimings(t *testing.T) {
	t.Parallel()
	events := `{"Action":"start","Package":"a"}
{"Action":"pass","Package":"a","Test":"TestX","Elapsed":9}
{"Action":"fail","Package":"a","Elapsed":2.5}
{"Action":"start","Package":"a"}
{"Action":"pass","Package":"a","Elapsed":0.5}
{"Action":"start","Package":"b"}
{"Action":"output","Package":"b","Output":"ok  \tb\t(cached)\n"}
{"Action":"pass","Package":"b","Elapsed":0}
`
	got, err := ReadTimings(strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Timings{"a": 2.5}, got); diff != "" {
		t.Errorf("timings (-want +got):\n%s", diff)
	}
}

func TestShard(t *testing.T) {
	t.Parallel()
	timings := Timings{"a": 10, "b": 7, "c": 6, "d": 5, "gone": 100}
	packages := []string{"d", "c", "b", "a", "new", "a"}
	var got []string
	for i := 1; i <= 3; i++ {
		shard, err := Shard(packages, timings, i, 3)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, strings.Join(shard, " "))
	}
	// "new" counts 7, the upper median of 5, 6, 7 and 10.
	if diff := cmp.Diff([]string{"a", "b c", "d new"}, got); diff != "" {
		t.Errorf("shards (-want +got):\n%s", diff)
	}
	for _, bad := range [][2]int{{0, 1}, {2, 1}, {1, 0}} {
		t.Run(fmt.Sprint("invalid ", bad), func(t *testing.T) {
			if _, err := Shard(packages, timings, bad[0], bad[1]); err == nil {
				t.Errorf("shard %d of %d is no error", bad[0], bad[1])
			}
		})
	}
}

// TestShardsAreAPartition: each package is in exactly one shard, whatever the times, and no shard has more to do than the
// bound of longest-processing-time-first: an even share and one package.
func TestShardsAreAPartition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.IntRange(1, 8).Draw(t, "total")
		packages := rapid.SliceOfDistinct(rapid.StringMatching(`[a-z]{1,4}`), rapid.ID[string]).Draw(t, "packages")
		timings, sum, longest := Timings{}, 0.0, 0.0
		for _, p := range packages {
			timings[p] = float64(rapid.IntRange(0, 1000).Draw(t, p))
			sum += timings[p]
			longest = max(longest, timings[p])
		}
		seen := map[string]int{}
		for i := 1; i <= total; i++ {
			shard, err := Shard(packages, timings, i, total)
			if err != nil {
				t.Fatal(err)
			}
			load := 0.0
			for _, p := range shard {
				seen[p]++
				load += timings[p]
			}
			if load > sum/float64(total)+longest+0.001 {
				t.Fatalf("shard %d has %v of %v", i, load, sum)
			}
		}
		for _, p := range packages {
			if seen[p] != 1 {
				t.Fatalf("%s is in %d shards", p, seen[p])
			}
		}
	})
}

func TestRepairJUnit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		fixture                         string
		tests, failures, skipped, flaky int
	}{
		{"flaky.xml", 7, 0, 1, 3},
		{"broken.xml", 7, 1, 1, 3},
	} {
		t.Run(test.fixture, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := RepairJUnit(&b, bytes.NewReader(fixture(t, test.fixture))); err != nil {
				t.Fatal(err)
			}
			var got junit
			if err := xml.Unmarshal(b.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			flaky := 0
			for _, c := range got.Suites[0].Cases {
				if c.Properties != nil {
					flaky++
					if c.Failure != nil || !strings.Contains(c.Output, "=== RUN") {
						t.Errorf("%+v", c)
					}
				}
			}
			if got.Tests != test.tests || got.Failures != test.failures || got.Suites[0].Skipped != test.skipped || flaky != test.flaky {
				t.Errorf("%d tests, %d failures, %d skipped, %d flaky; want %v\n%s", got.Tests, got.Failures, got.Suites[0].Skipped, flaky, test, b.String())
			}
			var again bytes.Buffer
			if err := RepairJUnit(&again, bytes.NewReader(b.Bytes())); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(b.String(), again.String()); diff != "" {
				t.Errorf("a second repair changes something:\n%s", diff)
			}
		})
	}
	if err := RepairJUnit(&bytes.Buffer{}, strings.NewReader("")); err == nil {
		t.Error("an empty report is no error")
	}
	if err := RepairJUnit(&bytes.Buffer{}, strings.NewReader("<html/>")); err == nil {
		t.Error("another format is no error")
	}
}
