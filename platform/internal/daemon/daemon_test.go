package daemon

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func table(t *testing.T) Table {
	t.Helper()
	dir := t.TempDir()
	tab := Table{Pids: filepath.Join(dir, "run"), Logs: filepath.Join(dir, "log"), Marker: "SLIPWAY_PLATFORM=" + dir}
	t.Cleanup(func() {
		for _, name := range tab.Names() {
			if err := tab.Stop(name); err != nil {
				t.Error(err)
			}
		}
	})
	return tab
}

func sleeper(args ...string) Spec {
	return Spec{Name: "sleeper", Path: "/bin/sleep", Args: append(args, "60")}
}

func TestEnsureStartsOnceAndAgainWhenChanged(t *testing.T) {
	t.Parallel()
	tab := table(t)
	input := filepath.Join(t.TempDir(), "input")
	if err := os.WriteFile(input, []byte("a"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sleeper()
	s.Inputs = []string{input}
	for _, step := range []struct {
		name    string
		change  func()
		started bool
	}{
		{"first", func() {}, true},
		{"unchanged", func() {}, false},
		{"another argument", func() { s.Args = []string{"61"} }, true},
		{"another content of an input", func() { _ = os.WriteFile(input, []byte("b"), 0o600) }, true},
		{"unchanged again", func() {}, false},
		{"killed", func() { r, _ := tab.Lookup("sleeper"); _ = r.Process.Stop(syscall.SIGKILL, time.Second) }, true},
	} {
		before, _ := tab.Lookup("sleeper")
		step.change()
		started, err := tab.Ensure(s)
		if err != nil {
			t.Fatal(err)
		}
		after, ok := tab.Lookup("sleeper")
		if started != step.started || !ok || !after.Alive() || (after.PID != before.PID) != step.started {
			t.Fatalf("%s: started %t, pid %d -> %d, alive %t", step.name, started, before.PID, after.PID, after.Alive())
		}
	}
}

func TestReusedPIDIsNeitherAliveNorKilled(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("/bin/sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	p, err := Observe(cmd.Process.Pid)
	if err != nil || !p.Alive() {
		t.Fatalf("%+v %v", p, err)
	}
	for name, other := range map[string]Process{
		"another start time": {PID: p.PID, Ticks: p.Ticks - 1, Boot: p.Boot},
		"another boot":       {PID: p.PID, Ticks: p.Ticks, Boot: "before"},
	} {
		if other.Alive() {
			t.Errorf("%s: alive", name)
		}
		if err := other.Stop(syscall.SIGKILL, time.Second); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if !p.Alive() {
		t.Error("the process was killed under another's record")
	}
}

func TestStopKillsWhatDoesNotListen(t *testing.T) {
	t.Parallel()
	tab := table(t)
	if _, err := tab.Ensure(Spec{Name: "deaf", Path: "/bin/sh", Args: []string{"-c", "trap '' TERM; while :; do sleep 0.1; done"},
		Grace: 300 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // until the trap is set
	r, _ := tab.Lookup("deaf")
	if err := tab.Stop("deaf"); err != nil {
		t.Fatal(err)
	}
	if r.Alive() {
		t.Error("still alive")
	}
	if err := tab.Stop("deaf"); err != nil {
		t.Errorf("a second time: %v", err)
	}
}

func TestOrphansAreThoseWithTheMarkerAndWithoutARecord(t *testing.T) {
	t.Parallel()
	tab := table(t)
	if _, err := tab.Ensure(sleeper()); err != nil {
		t.Fatal(err)
	}
	if got := tab.Orphans(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	r, _ := tab.Lookup("sleeper")
	if err := os.Remove(tab.pidPath("sleeper")); err != nil {
		t.Fatal(err)
	}
	got := tab.Orphans()
	if len(got) != 1 || got[0] != r.Process {
		t.Fatalf("%v, want %v", got, r.Process)
	}
	if err := got[0].Stop(syscall.SIGKILL, time.Second); err != nil {
		t.Fatal(err)
	}
}

func TestWaitTellsWhy(t *testing.T) {
	t.Parallel()
	never := func(context.Context) error { return errors.New("connection refused") }
	for _, test := range []struct{ name, script, want string }{
		{"a part that ends", "echo no such file >&2; exit 3", "ended right after its start"},
		{"a part that does not answer", "echo still thinking; exec sleep 60", "does not answer after 400ms (connection refused)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tab := table(t)
			if _, err := tab.Ensure(Spec{Name: "part", Path: "/bin/sh", Args: []string{"-c", test.script}}); err != nil {
				t.Fatal(err)
			}
			err := tab.Wait(t.Context(), "part", 400*time.Millisecond, never)
			quoted := strings.Fields(test.script)[1]
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), tab.LogPath("part")) ||
				!strings.Contains(err.Error(), quoted) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestUpStartsAnewWhatHangs(t *testing.T) {
	t.Parallel()
	tab := table(t)
	if _, err := tab.Ensure(sleeper()); err != nil {
		t.Fatal(err)
	}
	before, _ := tab.Lookup("sleeper")
	started, err := tab.Up(t.Context(), sleeper(), 300*time.Millisecond, func(context.Context) error {
		if r, _ := tab.Lookup("sleeper"); r.PID == before.PID {
			return errors.New("no answer")
		}
		return nil
	})
	if err != nil || !started || before.Alive() {
		t.Errorf("started %t, error %v, old one alive %t", started, err, before.Alive())
	}
}

func TestBoundLogs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	long, short := filepath.Join(dir, "long.log"), filepath.Join(dir, "short.log")
	f, err := os.OpenFile(long, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content := bytes.Repeat([]byte("line\n"), 100)
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(short, []byte("line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := boundLogs(dir, 200); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("after\n"); err != nil { // the writer goes on with its open file
		t.Fatal(err)
	}
	for path, want := range map[string]string{long: "after\n", long + ".1": string(content), short: "line\n"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q %v, want %q", path, got, err, want)
		}
	}
}
