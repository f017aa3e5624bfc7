//go:build unix && !linux

package supervise

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// becomeSubreaper does nothing: only Linux gives orphans to an ancestor.
func becomeSubreaper() error { return nil }

// redirect makes a descriptor another name of from.
func redirect(from, to int) error { return syscall.Dup2(from, to) }

func childAttributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// descendants lists the processes below pid that have not been orphaned, parents before children.
func descendants(pid int) []int {
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		return nil
	}
	children := map[int][]int{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 2 {
			continue
		}
		child, _ := strconv.Atoi(fields[0])
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], child)
	}
	var found []int
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		found = append(found, children[queue[0]]...)
		queue = append(queue, children[queue[0]]...)
	}
	return found
}
