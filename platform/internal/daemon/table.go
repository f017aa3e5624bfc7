package daemon

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/netns"
)

// A Spec describes how a part is started.
type Spec struct {
	// Name is the part's name: of its pid file and its log.
	Name string
	Path string
	Args []string
	// Env is added to PATH and the marker; a part inherits nothing else.
	Env []string
	Dir string
	// NetNS is the network namespace (a path) in which it runs; empty is the host's.
	NetNS string
	// Resolv is the file that the part sees as /etc/resolv.conf; empty is the host's.
	Resolv string
	// User runs it; nil is the caller.
	User *syscall.Credential
	// Inputs are files that the part reads at its start: it is restarted when one has changed.
	Inputs []string
	// Stop is the signal that ends it (default SIGTERM), Grace how long it may take (default 5 s).
	Stop  syscall.Signal
	Grace time.Duration
}

// A Record is the content of a part's pid file.
type Record struct {
	Process
	Name    string    `json:"name"`
	Started time.Time `json:"started"`
	// Fingerprint is a hash of everything that the part was started with.
	Fingerprint string   `json:"fingerprint"`
	Command     []string `json:"command"`
	Stop        int      `json:"stop"`
	GraceMS     int64    `json:"grace_ms"`
}

// A Table keeps the parts of one platform: a pid file and a log for each.
type Table struct {
	// Pids and Logs are folders.
	Pids, Logs string
	// Marker is an assignment that all parts (and what they start) carry in their environment, so that even a part
	// whose pid file was never written is found.
	Marker string
}

// LogPath returns the path of a part's log.
func (t Table) LogPath(name string) string { return filepath.Join(t.Logs, name+".log") }

func (t Table) pidPath(name string) string { return filepath.Join(t.Pids, name+".json") }

// Lookup reads the record of a part; ok is false if it was never started or was stopped.
func (t Table) Lookup(name string) (r Record, ok bool) {
	b, err := os.ReadFile(t.pidPath(name))
	if err != nil || json.Unmarshal(b, &r) != nil {
		return Record{}, false
	}
	return r, true
}

// Running reports whether the part runs.
func (t Table) Running(name string) bool {
	r, ok := t.Lookup(name)
	return ok && r.Alive()
}

// Names returns the names of the parts with a record, sorted.
func (t Table) Names() []string {
	paths, _ := filepath.Glob(filepath.Join(t.Pids, "*.json"))
	names := make([]string, 0, len(paths))
	for _, p := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(p), ".json"))
	}
	return names
}

// Up makes the part run with this specification and waits until it is ready: one that does not run is started, one that
// runs with another specification is stopped first, and one that runs but does not respond is restarted. The limit
// bounds the time from the start until it is ready.
func (t Table) Up(ctx context.Context, s Spec, limit time.Duration, ready func(context.Context) error) (started bool, err error) {
	started, err = t.Ensure(s)
	if err != nil {
		return started, err
	}
	if !started {
		err := t.Wait(ctx, s.Name, min(limit, 10*time.Second), ready)
		if err == nil || ctx.Err() != nil {
			return false, err
		}
		if err := t.Stop(s.Name); err != nil {
			return false, err
		}
		if _, err := t.Ensure(s); err != nil {
			return false, err
		}
	}
	return true, t.Wait(ctx, s.Name, limit, ready)
}

// Ensure starts the part unless it already runs with this specification; it does not wait until it is ready.
func (t Table) Ensure(s Spec) (started bool, err error) {
	print, err := fingerprint(s)
	if err != nil {
		return false, fmt.Errorf("%s: %w", s.Name, err)
	}
	if r, ok := t.Lookup(s.Name); ok && r.Alive() {
		if r.Fingerprint == print {
			return false, nil
		}
		if err := t.Stop(s.Name); err != nil {
			return false, err
		}
	}
	return true, t.start(s, print)
}

func (t Table) start(s Spec, print string) error {
	if err := errors.Join(os.MkdirAll(t.Pids, 0o700), os.MkdirAll(t.Logs, 0o755)); err != nil {
		return err
	}
	// O_APPEND: the log can be cut while the part writes.
	log, err := os.OpenFile(t.LogPath(s.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(log, "--- %s starts at %s\n", s.Name, time.Now().UTC().Format(time.RFC3339))
	cmd := s.command()
	cmd.Env = append([]string{"PATH=" + searchPath, t.Marker}, s.Env...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.Dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: s.User}
	start := cmd.Start
	if s.NetNS != "" {
		start = func() error { return netns.Do(s.NetNS, cmd.Start) }
	}
	if err := start(); err != nil {
		return fmt.Errorf("start %s: %w", s.Name, err)
	}
	process, err := Observe(cmd.Process.Pid)
	go func() { _ = cmd.Wait() }() // reaps it if it ends before this process; Wait returns its result
	if err != nil {
		return t.failure(s.Name, "ended right after its start", err)
	}
	r := Record{Process: process, Name: s.Name, Started: time.Now().UTC(), Fingerprint: print,
		Command: append([]string{s.Path}, s.Args...), Stop: int(s.Stop), GraceMS: s.Grace.Milliseconds()}
	if err := t.write(r); err != nil {
		return errors.Join(err, process.Stop(syscall.SIGTERM, time.Second))
	}
	return nil
}

// command returns the command of the process, which outlives the caller. With a separate resolv.conf it has a mount namespace, but is
// still the same process: unshare and the shell exec it.
func (s Spec) command() *exec.Cmd {
	if s.Resolv == "" {
		return exec.CommandContext(context.Background(), s.Path, s.Args...)
	}
	const bind = `mount --bind "$0" /etc/resolv.conf && exec "$@"`
	args := append([]string{"--mount", "--propagation", "private", "sh", "-c", bind, s.Resolv, s.Path}, s.Args...)
	return exec.CommandContext(context.Background(), "/usr/bin/unshare", args...)
}

// searchPath is fixed: a part must not depend on the environment of the user who started it.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

func (t Table) write(r Record) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	tmp := t.pidPath(r.Name) + ".tmp"
	if err := os.WriteFile(tmp, b, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, t.pidPath(r.Name))
}

// Stop ends a part if it runs, and removes its record.
func (t Table) Stop(name string) error {
	r, ok := t.Lookup(name)
	if ok {
		sig, grace := syscall.Signal(r.Stop), time.Duration(r.GraceMS)*time.Millisecond
		if sig == 0 {
			sig = syscall.SIGTERM
		}
		if grace == 0 {
			grace = 5 * time.Second
		}
		if err := r.Process.Stop(sig, grace); err != nil {
			return fmt.Errorf("stop %s: %w", name, err)
		}
	}
	if err := os.Remove(t.pidPath(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Orphans returns the processes with this table's marker that have no record.
func (t Table) Orphans() []Process {
	var known []int
	for _, name := range t.Names() {
		if r, ok := t.Lookup(name); ok {
			known = append(known, r.PID)
		}
	}
	return Find(func(pid int) bool { return !slices.Contains(known, pid) && HasEnv(pid, t.Marker) })
}

// Wait polls until ready returns nil, the part ends, or the limit has passed; the error then contains the end of the log.
func (t Table) Wait(ctx context.Context, name string, limit time.Duration, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		attempt, stop := context.WithTimeout(ctx, 3*time.Second)
		err := ready(attempt)
		stop()
		if err == nil {
			return nil
		}
		if !t.Running(name) {
			return t.failure(name, "ended right after its start", nil)
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return t.failure(name, fmt.Sprintf("does not answer after %s", limit), err)
		case <-time.After(25 * time.Millisecond):
		}
	}
}

func (t Table) failure(name, what string, cause error) error {
	why := ""
	if cause != nil {
		why = " (" + cause.Error() + ")"
	}
	return fmt.Errorf("%s %s%s; its log %s ends with:\n%s", name, what, why, t.LogPath(name), Tail(t.LogPath(name), 5))
}

// fingerprint returns a hash of everything that the process depends on.
func fingerprint(s Spec) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q", s.Path, s.Args, s.Env, s.Dir, s.NetNS)
	if s.Resolv != "" {
		fmt.Fprintf(h, " %q", s.Resolv)
	}
	if s.User != nil {
		fmt.Fprintf(h, " %d:%d", s.User.Uid, s.User.Gid)
	}
	for _, path := range s.Inputs {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, " %q %x", path, sha256.Sum256(b))
	}
	return hex.EncodeToString(h.Sum(nil)[:12]), nil
}
