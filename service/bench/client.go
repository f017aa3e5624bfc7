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
	command    *exec.Cmd
	stdin      io.WriteCloser
	stdout     *bufio.Reader
}

func startServer(name string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	// #nosec G204 -- this program itself
	s := &server{name: name, command: exec.Command(self, "-serve", name)} //nolint:noctx // stop ends it
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
	_ = s.stdin.Close() // that ends it
	_ = s.command.Wait()
}

// cpu returns the CPU time that the server has used.
func (s *server) cpu() (time.Duration, error) {
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
		all.Go(func() { errs[i] = ask(s.addr, &left) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	after, err := s.cpu()
	return float64((after - before).Nanoseconds()) / 1e3 / float64(requests), err
}

// ask makes requests on one connection while there are any left.
func ask(addr string, left *atomic.Int64) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // all was read
	request := []byte("GET /v1/orders/" + orderID + " HTTP/1.1\r\nHost: orders\r\nUser-Agent: bench\r\nAccept: application/json\r\n\r\n")
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
			return fmt.Errorf("read the answer: %w", err)
		}
		if response.StatusCode != http.StatusOK || n < 200 {
			return fmt.Errorf("status %s, %d bytes", response.Status, n)
		}
	}
	return nil
}

// residentMiB is the memory that the server holds.
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
