package cluster

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// kubeletSysctls are what the kubelet sets for the whole machine, once, while it starts (its setupKernelTunables). It does
// not need them to run pods, and other programs use the machine, too.
var kubeletSysctls = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// sparingSysctls starts the kubelet and restores the machine's settings. Only one platform of the machine does so at a
// time: another would save the values of this kubelet as the original ones.
func (c *Cluster) sparingSysctls(start func() (bool, error)) (bool, error) {
	lock, err := os.Open(cgroupMount) // a folder that all platforms have, so that no lock file remains
	if err != nil {
		return false, err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return false, err
	}
	if err := c.rememberSysctls(); err != nil {
		return false, err
	}
	started, err := start()
	if err != nil {
		return started, err // the saved values are kept for the next up or down: this kubelet may still set them
	}
	// A node can seem ready by the state of the last kubelet; only the values show that this one has set them.
	for end := time.Now().Add(5 * time.Second); started && !kubeletHasSet() && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	return started, c.restoreSysctls()
}

func kubeletHasSet() bool {
	for name, want := range kubeletSysctls {
		if b, err := os.ReadFile("/proc/sys/" + name); err == nil && strings.TrimSpace(string(b)) != want {
			return false
		}
	}
	return true
}

// rememberSysctls saves the present values, unless some are saved: then the present ones are the kubelet's.
func (c *Cluster) rememberSysctls() error {
	if _, err := os.Stat(c.path("sysctls.json")); err == nil {
		return nil
	}
	values := map[string]string{}
	for name := range kubeletSysctls {
		if b, err := os.ReadFile("/proc/sys/" + name); err == nil {
			values[name] = strings.TrimSpace(string(b))
		}
	}
	b, err := json.Marshal(values)
	if err != nil {
		return err
	}
	_, err = update(c.path("sysctls.json"), b)
	return err
}

// restoreSysctls restores the saved values.
func (c *Cluster) restoreSysctls() error {
	b, err := os.ReadFile(c.path("sysctls.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var values map[string]string
	if err := json.Unmarshal(b, &values); err != nil {
		return err
	}
	var errs []error
	for name, value := range values {
		if now, err := os.ReadFile("/proc/sys/" + name); err == nil && strings.TrimSpace(string(now)) != value {
			errs = append(errs, os.WriteFile("/proc/sys/"+name, []byte(value), 0))
		}
	}
	return errors.Join(append(errs, os.Remove(c.path("sysctls.json")))...)
}
