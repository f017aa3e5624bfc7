package supervise

import (
	"fmt"
	"os"
	"syscall"
)

func ownSession() *syscall.SysProcAttr { return nil }

// Main is the supervisor on systems that have process groups and signals.
func Main([]string) int {
	fmt.Fprintln(os.Stderr, "jobs do not run on Windows: run slipway in WSL")
	return 2
}
