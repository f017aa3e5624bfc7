//go:build !unix

package executor

import "os/exec"

func (t *Terminal) foreground(*exec.Cmd) (restore func()) { return func() {} }
