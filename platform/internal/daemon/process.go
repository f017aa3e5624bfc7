// Package daemon starts, finds and stops the long-running parts of the platform. They survive the command that started
// them, and are never confused with another process that has their pid later.
package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A Process identifies a process: a pid may be reused, a pid with its start time is unique.
type Process struct {
	PID int `json:"pid"`
	// Ticks is the start time in clock ticks since boot, as /proc/PID/stat has it.
	Ticks uint64 `json:"ticks"`
	// Boot is the boot in which Ticks counts (/proc/sys/kernel/random/boot_id).
	Boot string `json:"boot"`
}

// BootID identifies this boot of the machine.
func BootID() string {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(b))
}

// Observe returns the process that has the pid now.
func Observe(pid int) (Process, error) {
	ticks, _, err := stat(pid)
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Ticks: ticks, Boot: BootID()}, nil
}

// Alive reports whether this process still runs; a zombie does not.
func (p Process) Alive() bool {
	if p.PID <= 1 || p.Boot != BootID() {
		return false
	}
	ticks, state, err := stat(p.PID)
	return err == nil && ticks == p.Ticks && state != 'Z' && state != 'X'
}

// Signal sends a signal if the process still runs; a process that is gone is not an error.
func (p Process) Signal(sig syscall.Signal) error {
	if !p.Alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal process %d: %w", p.PID, err)
	}
	return nil
}

// Stop sends sig, waits up to grace for the end, and then kills.
func (p Process) Stop(sig syscall.Signal, grace time.Duration) error {
	if err := p.Signal(sig); err != nil {
		return err
	}
	if p.wait(grace) {
		return nil
	}
	if err := p.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	if !p.wait(5 * time.Second) {
		return fmt.Errorf("process %d does not end, even when killed", p.PID)
	}
	return nil
}

func (p Process) wait(limit time.Duration) bool {
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if !p.Alive() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// stat reads a process's start time and state. The command in parentheses may contain spaces and parentheses, so
// the fields are counted from the last one.
func stat(pid int) (ticks uint64, state byte, err error) {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, 0, err
	}
	_, rest, ok := cutLast(b, ')')
	fields := bytes.Fields(rest)
	// proc(5): field 3 is the state and field 22 the start time; fields[0] is field 3.
	if !ok || len(fields) < 20 {
		return 0, 0, fmt.Errorf("/proc/%d/stat has an unknown form", pid)
	}
	ticks, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return ticks, fields[0][0], err
}

func cutLast(b []byte, sep byte) (before, after []byte, ok bool) {
	i := bytes.LastIndexByte(b, sep)
	if i < 0 {
		return b, nil, false
	}
	return b[:i], b[i+1:], true
}

// Find returns the live processes that match, except for this one.
func Find(match func(pid int) bool) []Process {
	dirs, _ := os.ReadDir("/proc")
	var found []Process
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil || pid == os.Getpid() || pid == 1 {
			continue
		}
		if p, err := Observe(pid); err == nil && match(pid) && p.Alive() {
			found = append(found, p)
		}
	}
	return found
}

// HasEnv reports whether a process was started with the variable assignment ("KEY=value") in its environment.
func HasEnv(pid int, assignment string) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "environ"))
	if err != nil {
		return false
	}
	for v := range bytes.SplitSeq(b, []byte{0}) {
		if string(v) == assignment {
			return true
		}
	}
	return false
}

// CommandLine returns the command line of the process, for messages; empty if it has ended.
func CommandLine(pid int) string {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(bytes.ReplaceAll(b, []byte{0}, []byte{' '})))
}
