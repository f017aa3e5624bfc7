//go:build unix

package executor

import (
	"os/exec"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// foreground makes a command that has not started the one that gets the terminal's signals, such as that of Ctrl-C. The returned
// function restores the terminal.
func (t *Terminal) foreground(command *exec.Cmd) (restore func()) {
	fd := int(t.In.Fd())
	command.SysProcAttr = &syscall.SysProcAttr{Foreground: true, Ctty: fd}
	return func() {
		// A background process that takes the terminal gets this signal.
		signal.Ignore(syscall.SIGTTOU)
		_ = unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, syscall.Getpgrp())
		signal.Reset(syscall.SIGTTOU)
	}
}
