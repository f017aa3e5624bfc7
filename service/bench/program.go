package main

import (
	"bufio"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The limits of the program.
const (
	maxMB            = 32 // of the file
	maxCompressedMB  = 15 // of the file as an image holds it
	maxStartMillis   = 40 // from exec to the first 200, migrations done
	maxIdleMiB       = 30
	maxLoadMiB       = 50
	starts           = 15
	idleAfter        = time.Second
	loadedRequests   = 20_000
	startPatience    = 10 * time.Second
	startPollingStep = 100 * time.Microsecond
)

// figure is something measured, and its limit.
type figure struct {
	name         string
	value, limit float64
	unit         string
}

// measureProgram builds the program as it is delivered and measures it.
func measureProgram(w io.Writer) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	program := filepath.Join(dir, "orders")
	build := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, "gitlab.com/slipway-ci/slipway/service/cmd/orders") // #nosec G204 -- our own arguments
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	figures, err := weigh(program)
	if err != nil {
		return err
	}
	running, err := watchRunning(program, dir)
	if err != nil {
		return err
	}
	var failed []string
	for _, f := range append(figures, running...) {
		verdict := ""
		if f.value > f.limit {
			verdict = "  above the limit"
			failed = append(failed, f.name)
		}
		fmt.Fprintf(w, "%-44s %6.1f %-3s limit %3.0f%s\n", f.name, f.value, f.unit, f.limit, verdict)
	}
	fmt.Fprintln(w)
	if failed != nil {
		return fmt.Errorf("%s: above the limit", strings.Join(failed, ", "))
	}
	return nil
}

func weigh(program string) ([]figure, error) {
	b, err := os.ReadFile(program) // #nosec G304 -- built just now
	if err != nil {
		return nil, err
	}
	var compressed counter
	z := gzip.NewWriter(&compressed)
	if _, err := z.Write(b); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return []figure{{"size", float64(len(b)) / 1e6, maxMB, "MB"}, {"size, compressed", float64(compressed) / 1e6, maxCompressedMB, "MB"}}, nil
}

// counter counts what is written to it.
type counter int

// Write implements [io.Writer].
func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// watchRunning starts the program often, with a new database and with one that is there, and loads it once. The best start
// counts: others on the machine can only make it slower.
func watchRunning(program, dir string) ([]figure, error) {
	var fresh, again []float64
	for i := range starts {
		database := filepath.Join(dir, fmt.Sprintf("%d.db", i))
		for _, times := range []*[]float64{&fresh, &again} {
			p, err := startProgram(program, database)
			if err != nil {
				return nil, err
			}
			*times = append(*times, float64(p.answered.Microseconds())/1e3)
			p.stop()
		}
	}
	p, err := startProgram(program, filepath.Join(dir, "idle.db"))
	if err != nil {
		return nil, err
	}
	defer p.stop()
	time.Sleep(idleAfter)
	idle, err := residentMiB(p.command.Process.Pid)
	if err != nil {
		return nil, err
	}
	if err := p.load(); err != nil {
		return nil, err
	}
	loaded, err := residentMiB(p.command.Process.Pid)
	if err != nil {
		return nil, err
	}
	return []figure{{"from exec to the first 200, new database", slices.Min(fresh), maxStartMillis, "ms"},
		{"from exec to the first 200, again", slices.Min(again), maxStartMillis, "ms"},
		{"memory (RSS), idle", idle, maxIdleMiB, "MiB"}, {"memory (RSS), under load", loaded, maxLoadMiB, "MiB"}}, nil
}

// running is the program, serving.
type running struct {
	command  *exec.Cmd
	addr     string
	answered time.Duration // from exec to the first 200
}

func startProgram(program, database string) (*running, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p := &running{addr: addr, command: exec.CommandContext(context.Background(), program)} // #nosec G204 -- built just now
	p.command.Env = []string{"ORDERS_HTTP_ADDR=" + addr, "ORDERS_ADMIN_ADDR=127.0.0.1:0", "ORDERS_DATABASE_URL=sqlite:" + database,
		"ORDERS_SHUTDOWN_DRAIN=0s", "ORDERS_RATE_LIMIT=0", "ORDERS_HTTP_TIMEOUT=1m"}
	p.command.Stderr = os.Stderr
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begun := time.Now()
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	for time.Since(begun) < startPatience {
		if ok := ask200(addr); ok {
			p.answered = time.Since(begun)
			return p, nil
		}
		time.Sleep(startPollingStep)
	}
	p.stop()
	return nil, errors.New("the program does not answer")
}

func freeAddr() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ask200 asks once, without the cost of a client.
func ask200(addr string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close() //nolint:errcheck // all was read
	if _, err := io.WriteString(conn, "GET /v1/orders HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n"); err != nil {
		return false
	}
	status, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(status, "HTTP/1.1 200 ")
}

func (p *running) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended
	_ = p.command.Wait()
}

// load places orders and lists them, on all connections at once.
func (p *running) load() error {
	var left atomic.Int64
	left.Store(loadedRequests)
	errs := make([]error, connections)
	transport := &http.Transport{MaxIdleConnsPerHost: connections}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var all sync.WaitGroup
	for i := range connections {
		all.Go(func() {
			for n := left.Add(-1); n >= 0 && errs[i] == nil; n = left.Add(-1) {
				errs[i] = p.call(client, n%20 == 0)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (p *running) call(client *http.Client, place bool) error {
	method, body := http.MethodGet, io.Reader(nil)
	if place {
		method, body = http.MethodPost, strings.NewReader(`{"customer":"ann","currency":"EUR","items":[{"sku":"a","quantity":1,"unit_price":1}]}`)
	}
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+p.addr+"/v1/orders", body)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // all was read
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s /v1/orders: %s", method, response.Status)
	}
	return nil
}
