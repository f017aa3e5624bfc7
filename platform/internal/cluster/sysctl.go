package cluster

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
)

// machineSysctls are those that the kubelet sets for the whole machine when it starts.
var machineSysctls = []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes"}

// rememberSysctls notes the values of before, unless a note is there: then those of now are the kubelet's.
func (c *Cluster) rememberSysctls() error {
	if _, err := os.Stat(c.path("sysctls.json")); err == nil {
		return nil
	}
	values := map[string]string{}
	for _, name := range machineSysctls {
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

// restoreSysctls puts them back: the kubelet sets them once and does not need them.
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
