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

// killPatience bounds the wait for processes that SIGKILL does not end at once (uninterruptible sleep).
const killPatience = 10 * time.Second

// Main is the supervisor: it runs the command in args (a grace as a Go duration, "--", the command line) and returns
// when the command and everything that it started are gone. Only [Start] calls it, through the executable.
func Main(args []string) int {
	if len(args) < 3 || args[1] != "--" {
		fmt.Fprintln(os.Stderr, "supervise is what slipway starts its jobs with; it is of no use by hand")
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
	exit, err := supervise(control, grace, args[2:])
	if err != nil {
		fmt.Fprintf(status, "error %v\n", err)
		return 1
	}
	fmt.Fprintf(status, "exit %d %d\n", exit.Code, exit.Leftover)
	return 0
}

func supervise(control *os.File, grace time.Duration, args []string) (Exit, error) {
	// The parent-death signal is bound to the thread that forks.
	runtime.LockOSThread()
	if err := becomeSubreaper(); err != nil {
		return Exit{}, fmt.Errorf("become subreaper: %w", err)
	}
	// Signals that a script sends to its whole session must not end the supervisor. They are caught and dropped, not
	// ignored: what is ignored stays ignored in the command.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGCHLD)

	path, err := exec.LookPath(args[0])
	if err != nil {
		return Exit{}, err
	}
	pid, err := syscall.ForkExec(path, args, &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{devNull(), 1, 2},
		Sys:   childAttributes(),
	})
	if err != nil {
		return Exit{}, fmt.Errorf("start %s: %w", path, err)
	}
	orders := readOrders(control)
	r := reaper{main: pid, code: -1}
	for r.code < 0 {
		select {
		case <-signals:
		case order := <-orders:
			r.signalAll(signalOf(order))
		}
		r.reap()
	}
	exit := Exit{Code: r.code}
	if exit.Leftover = len(descendants(os.Getpid())); exit.Leftover == 0 && r.none {
		return exit, nil
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
			killing = killing || signalOf(order) == syscall.SIGKILL
		case <-killAfter:
			killing = true
		case <-give:
			return exit, errors.New("processes of the job could not be killed")
		}
		if killing && give == nil {
			give = time.After(killPatience)
			r.signalAll(syscall.SIGKILL)
		}
		r.reap()
	}
	return exit, nil
}

// readOrders passes on what the program asks for; its end is the order to kill, again and again.
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

func signalOf(order byte) syscall.Signal {
	if order == orderKill {
		return syscall.SIGKILL
	}
	return syscall.SIGTERM
}

// A reaper collects the children of this process: the command, and the orphans among its descendants.
type reaper struct {
	main int
	// code is the command's exit code once it is known, -1 before.
	code int
	// none says that there are no children any more.
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
			r.code = status.ExitStatus()
			if status.Signaled() {
				r.code = 128 + int(status.Signal())
			}
		}
	}
}

// signalAll signals the command's process group and every descendant outside of it.
func (r *reaper) signalAll(sig syscall.Signal) {
	if r.code < 0 {
		_ = syscall.Kill(-r.main, sig)
	}
	for _, pid := range descendants(os.Getpid()) {
		group, err := syscall.Getpgid(pid)
		if r.code < 0 && err == nil && group == r.main {
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
