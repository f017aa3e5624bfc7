package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const cgroupMount = "/sys/fs/cgroup"

// unified reports whether the machine has cgroup v2 only; with v1, also when v2 is mounted beside it, the controllers are v1's.
func unified() bool {
	var s unix.Statfs_t
	return unix.Statfs(cgroupMount, &s) == nil && s.Type == unix.CGROUP2_SUPER_MAGIC
}

// makeCgroups creates the group for all pods, which the kubelet requires.
func (c *Cluster) makeCgroups() (bool, error) {
	if unified() {
		root := filepath.Join(cgroupMount, c.Name)
		_, err := os.Stat(root)
		if err == nil {
			return false, nil
		}
		available, err := os.ReadFile(filepath.Join(cgroupMount, "cgroup.controllers"))
		if err != nil {
			return false, err
		}
		for controller := range strings.FieldsSeq(string(available)) {
			err := os.WriteFile(filepath.Join(cgroupMount, "cgroup.subtree_control"), []byte("+"+controller), 0)
			if err != nil && slices.Contains([]string{"cpu", "memory", "pids"}, controller) {
				return false, fmt.Errorf("pass the cgroup controller %s on to groups: %w; this cgroup holds processes itself, "+
					"as in a container: start the container with the host's cgroup namespace", controller, err)
			}
		}
		return true, os.Mkdir(root, 0o755)
	}
	changed := false
	for _, controller := range v1Controllers() {
		dir := filepath.Join(cgroupMount, controller, c.Name)
		if err := os.Mkdir(dir, 0o755); err == nil {
			changed = true
		} else if !errors.Is(err, fs.ErrExist) {
			return false, err
		}
		if !strings.Contains(controller, "cpuset") {
			continue
		}
		// In v1 the groups of cpuset start empty, and an empty one accepts no process; those below copy from this one.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(cgroupMount, controller, file))
			if err != nil {
				return false, err
			}
			if err := os.WriteFile(filepath.Join(dir, file), value, 0); err != nil {
				return false, err
			}
		}
	}
	return changed, nil
}

// v1Controllers returns the mounted hierarchies without links such as cpu -> cpu,cpuacct.
func v1Controllers() []string {
	entries, _ := os.ReadDir(cgroupMount)
	var names []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != "unified" {
			names = append(names, e.Name())
		}
	}
	return names
}

// cgroups returns all groups of this cluster in all hierarchies, the deepest first.
func (c *Cluster) cgroups() []string {
	roots, _ := filepath.Glob(filepath.Join(cgroupMount, "*", c.Name))
	roots = append(roots, filepath.Join(cgroupMount, c.Name))
	var dirs []string
	for _, root := range roots {
		_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil // a group may disappear during the walk
		})
	}
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return dirs
}

// killPods kills the processes in the cluster's cgroups until none is left.
func (c *Cluster) killPods() error {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		left := 0
		for _, dir := range c.cgroups() {
			b, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
			for text := range strings.FieldsSeq(string(b)) {
				if pid, err := strconv.Atoi(text); err == nil && pid > 1 {
					left++
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
			}
		}
		if left == 0 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d processes of pods do not end, even when killed", left)
		}
	}
}

// removeCgroups removes the groups; a zombie keeps its group for a moment.
func (c *Cluster) removeCgroups() error {
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var err error
		for _, dir := range c.cgroups() {
			if e := os.Remove(dir); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = e
			}
		}
		if err == nil || time.Now().After(end) {
			return err
		}
	}
}
