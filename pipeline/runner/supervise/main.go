//go:build unix

package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// killPatience bounds the wait for processes that SIGKILL does not end immediately (uninterruptible sleep).
const killPatience = 10 * time.Second

// Main is the supervisor: it runs the command in args (a grace as a Go duration, "--", the command line) and returns
// after the command and all processes that it started have ended. Only [Start] calls it, through the executable.
func Main(args []string) int {
	if len(args) < 3 || args[1] != "--" {
		fmt.Fprintln(os.Stderr, "slipway starts supervise for each job; do not run it by hand")
		return 2
	}
	grace, err := time.ParseDuration(args[0])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	status := os.NewFile(statusFile, "status")
	control := os.NewFile(controlFile, "control")
	syscall.CloseOnExec(statusFile)
	syscall.CloseOnExec(controlFile)
	if err := supervise(status, control, grace, args[2:]); err != nil {
		fmt.Fprintf(status, "error %v\n", err)
		return 1
	}
	return 0
}

// supervise runs the command and reports on status: "start PID" when it runs, "exit CODE" when it has ended, "left NUMBER" when its descendants have.
func supervise(status, control *os.File, grace time.Duration, args []string) error {
	// The parent-death signal is bound to the thread that forks.
	runtime.LockOSThread()
	if err := becomeSubreaper(); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	// Signals that a script sends to its whole session must not end the supervisor. They are caught and dropped instead of
	// ignored, since the command would inherit that.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGCHLD)

	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{devNull(), 1, 2},
		Sys:   childAttributes(),
	})
	if err != nil {
		return fmt.Errorf("start %s: %w", path, err)
	}
	if err := releaseOutput(); err != nil {
		return err
	}
	fmt.Fprintf(status, "start %d\n", pid)
	orders := readOrders(control)
	r := &reaper{main: pid}
	for !r.exited {
		select {
		case <-signals:
		case order := <-orders:
			r.order(order)
		}
		r.reap()
	}
	fmt.Fprintf(status, "exit %d\n", r.code)
	for ended := false; !ended && !r.none; {
		select {
		case <-signals:
		case order := <-orders:
			ended = order == orderEnd || order == orderKill
			r.order(order)
		}
		r.reap()
	}
	left := len(descendants(os.Getpid()))
	if err := r.endAll(grace, signals, orders); err != nil {
		return err
	}
	fmt.Fprintf(status, "left %d\n", left)
	return nil
}

// releaseOutput closes this process's copies of the command's standard output and error, so that they are closed when its processes end.
func releaseOutput() error {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	return errors.Join(redirect(int(null.Fd()), 1), redirect(int(null.Fd()), 2))
}

// endAll ends every descendant: with SIGTERM, and after the grace with SIGKILL.
func (r *reaper) endAll(grace time.Duration, signals <-chan os.Signal, orders <-chan byte) error {
	if r.none {
		return nil
	}
	r.signalAll(syscall.SIGTERM)
	killAfter := time.After(grace)
	var give <-chan time.Time
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	killing := false
	for !r.none {
		select {
		case <-signals:
		case <-again.C:
			if killing {
				r.signalAll(syscall.SIGKILL)
			}
		case order := <-orders:
			killing = killing || order == orderKill
		case <-killAfter:
			killing = true
		case <-give:
			return errors.New("processes of the job could not be killed")
		}
		if killing && give == nil {
			give = time.After(killPatience)
			r.signalAll(syscall.SIGKILL)
		}
		r.reap()
	}
	return nil
}

// readOrders passes on the orders of the program; when its pipe is closed, it orders to kill until nothing is left.
func readOrders(control *os.File) <-chan byte {
	orders := make(chan byte)
	go func() {
		var b [1]byte
		for {
			if n, err := control.Read(b[:]); err != nil || n == 0 {
				b[0] = orderKill
				time.Sleep(10 * time.Millisecond)
			}
			orders <- b[0]
		}
	}()
	return orders
}

// A reaper collects the children of this process: the command, and the orphans among its descendants.
type reaper struct {
	main int
	// exited reports whether the command has ended; code is its exit code then, -1 if a signal ended it.
	exited bool
	code   int
	// none means that no children are left.
	none bool
}

func (r *reaper) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.ECHILD):
			r.none = true
			return
		case err != nil || pid == 0:
			return
		}
		if pid == r.main {
			r.exited, r.code = true, status.ExitStatus()
		}
	}
}

// order passes an order of the program on; one that only ends the descendants has no signal.
func (r *reaper) order(order byte) {
	switch order {
	case orderTerminate:
		r.signalAll(syscall.SIGTERM)
	case orderKill:
		r.signalAll(syscall.SIGKILL)
	}
}

// signalAll signals the command's process group and every descendant outside of it.
func (r *reaper) signalAll(sig syscall.Signal) {
	if !r.exited {
		_ = syscall.Kill(-r.main, sig)
	}
	for _, pid := range descendants(os.Getpid()) {
		group, err := syscall.Getpgid(pid)
		if !r.exited && err == nil && group == r.main {
			continue
		}
		_ = syscall.Kill(pid, sig)
	}
}

func devNull() uintptr {
	f, err := os.Open(os.DevNull)
	if err != nil {
		return 0
	}
	// The descriptor must outlive this function: it is the command's standard input.
	fd, err := syscall.Dup(int(f.Fd()))
	f.Close()
	if err != nil {
		return 0
	}
	syscall.CloseOnExec(fd)
	return uintptr(fd)
}
