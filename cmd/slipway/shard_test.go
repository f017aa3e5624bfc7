package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestShard(t *testing.T) {
	dir := t.TempDir()
	timings, events := filepath.Join(dir, "timings.json"), filepath.Join(dir, "events.json")
	if err := os.WriteFile(timings, []byte(`{"m/a":9,"m/b":1}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(events, []byte(`{"Action":"pass","Package":"m/b","Elapsed":12}`+"\n"+`{"Action":"pass","Package":"m/c","Elapsed":2}`+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, output := slipway(t, "timings", "--file", timings, events); code != 0 || !strings.Contains(output, "3 packages") {
		t.Errorf("timings: exit code %d, %s", code, output)
	}
	t.Setenv("CI_NODE_INDEX", "2")
	t.Setenv("CI_NODE_TOTAL", "2")
	var out bytes.Buffer
	if code := run(t.Context(), []string{"shard", "--timings", timings}, strings.NewReader("m/a\nm/b\n\nm/c\n"), &out, &out); code != 0 || out.String() != "m/a\nm/c\n" {
		t.Errorf("from GitLab's variables: exit code %d, %s", code, out.String())
	}
	if code, output := slipway(t, "shard", "--timings", timings, "--index", "1", "m/a", "m/b", "m/c"); code != 0 || output != "m/b\n" {
		t.Errorf("from arguments: exit code %d, %s", code, output)
	}
	if code, output := slipway(t, "shard", "--timings", filepath.Join(dir, "none.json"), "--index", "1", "m/a"); code != 0 || output != "m/a\n" {
		t.Errorf("first run: exit code %d, %s", code, output)
	}
	if code, output := slipway(t, "shard", "--index", "3", "m/a"); code != 2 || !strings.Contains(output, "no shard 3 of 2") {
		t.Errorf("too many: exit code %d, %s", code, output)
	}
}

func TestFlaky(t *testing.T) {
	t.Parallel()
	const data = "../../internal/gate/gotest/testdata/"
	dir := t.TempDir()
	junit, markdown := filepath.Join(dir, "junit.xml"), filepath.Join(dir, "flaky.md")
	report, err := os.ReadFile(data + "flaky.xml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(junit, report, 0o644); err != nil {
		t.Fatal(err)
	}
	code, output := slipway(t, "flaky", data+"flaky.json", "--junit", junit, "--markdown", markdown)
	if code != 0 || !strings.Contains(output, "flaky: example.com/flaky TestFlaky failed 1 of 2 times") {
		t.Errorf("exit code %d, %s", code, output)
	}
	if report, err = os.ReadFile(junit); err != nil || bytes.Contains(report, []byte("<failure")) || !bytes.Contains(report, []byte(`name="flaky"`)) {
		t.Errorf("%v\n%s", err, report)
	}
	if text, err := os.ReadFile(markdown); err != nil || !bytes.Contains(text, []byte("1 of 2")) {
		t.Errorf("%v\n%s", err, text)
	}
	if code, output := slipway(t, "flaky", data+"flaky.json", "--max", "1"); code != 1 || !strings.Contains(output, "#flaky-tests") {
		t.Errorf("too many: exit code %d, %s", code, output)
	}
	if code, _ := slipway(t, "flaky", data+"flaky.json", "--max", "2"); code != 0 {
		t.Errorf("just as many: exit code %d", code)
	}
}
