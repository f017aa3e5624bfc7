package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const connections = 16

// server is a process that is measured.
type server struct {
	name, addr string
	path       string // what is requested
	command    *exec.Cmd
	stdin      io.WriteCloser // nil for other programs
	stdout     *bufio.Reader
}

// startServer starts a program on the servers' processor.
func (p program) startServer(folder string) (*server, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	program := p.command(p.file, addr, filepath.Join(folder, p.name+".db"))
	// #nosec G204 -- this program, which execs the other one
	s := &server{name: p.name, addr: addr, path: p.path, command: exec.Command(self, append([]string{"-serve", p.name}, program.Args...)...)} //nolint:noctx // stop ends it
	s.command.Env = program.Env
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	for begun := time.Now(); time.Since(begun) < startPatience; time.Sleep(startPollingStep) {
		if ask200(addr, p.path) {
			return s, nil
		}
	}
	s.stop()
	return nil, errors.New("the program does not respond")
}

func startServer(name string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// #nosec G204 -- this program itself
	s := &server{name: name, path: "/v1/orders/" + orderID, command: exec.Command(self, "-serve", name)} //nolint:noctx // stop ends it
	s.command.Stderr = os.Stderr
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if s.stdin, err = s.command.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.stdout = bufio.NewReader(stdout)
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	line, err := s.stdout.ReadString('\n')
	if err != nil {
		s.stop()
		return nil, errors.New("the server did not start")
	}
	s.addr = strings.TrimSpace(line)
	return s, nil
}

func (s *server) stop() {
	if s.stdin == nil {
		_ = s.command.Process.Kill()
	} else {
		_ = s.stdin.Close() // that ends it
	}
	_ = s.command.Wait()
}

// cpu returns the CPU time that the server has used; for other programs the resolution is 10 ms.
func (s *server) cpu() (time.Duration, error) {
	if s.stdin == nil {
		return cpuOf(s.command.Process.Pid)
	}
	if _, err := fmt.Fprintln(s.stdin, "cpu"); err != nil {
		return 0, err
	}
	line, err := s.stdout.ReadString('\n')
	if err != nil {
		return 0, err
	}
	nanos, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return time.Duration(nanos), err
}

// cpuOf reads user and system time in /proc, the fields 14 and 15 of stat, in ticks of 10 ms.
func cpuOf(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	const beforeUser = 11 // fields between the name, which may contain spaces, and the user time
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var ticks int64
	for _, field := range fields[beforeUser : beforeUser+2] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond, nil
}

// measure makes requests and returns the server's CPU time for one, in microseconds.
func (s *server) measure(requests int) (float64, error) {
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	var left atomic.Int64
	left.Store(int64(requests))
	errs := make([]error, connections)
	var all sync.WaitGroup
	for i := range connections {
		all.Go(func() { errs[i] = ask(s.addr, s.path, &left) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	after, err := s.cpu()
	return float64((after - before).Nanoseconds()) / 1e3 / float64(requests), err
}

// ask makes requests on one connection until none are left.
func ask(addr, path string, left *atomic.Int64) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // all was read
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: orders\r\nUser-Agent: bench\r\nAccept: application/json\r\n\r\n")
	reader := bufio.NewReader(conn)
	for left.Add(-1) >= 0 {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		if err != nil {
			return fmt.Errorf("read the response: %w", err)
		}
		if response.StatusCode != http.StatusOK || n < 200 {
			return fmt.Errorf("status %s, %d bytes", response.Status, n)
		}
	}
	return nil
}

// residentMiB returns the resident memory of the server.
func (s *server) residentMiB() (float64, error) { return residentMiB(s.command.Process.Pid) }

func residentMiB(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(b))
	pages, err := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize()) / (1 << 20), err
}
