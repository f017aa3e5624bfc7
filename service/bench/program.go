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
	maxMB            = 32  // of the file
	maxCompressedMB  = 15  // of the file as an image holds it
	maxStartRatio    = 1.6 // from exec to the first 200, migrations done, against podinfo in the same run
	maxStartMillis   = 40  // the same, where podinfo cannot be built
	maxIdleMiB       = 30
	maxLoadMiB       = 50
	programStarts    = 15
	idleAfter        = time.Second
	loadedRequests   = 20_000
	startPatience    = 10 * time.Second
	startPollingStep = 100 * time.Microsecond
)

// program is a measured program, built as it is delivered.
type program struct {
	name, file, path string // path is what is requested
	command          func(file, addr, database string) *exec.Cmd
	body             string // of the orders that are placed under load; "" for none
}

// buildOrders builds the service into a folder.
func buildOrders(folder string) (program, error) {
	p := program{name: "orders", file: filepath.Join(folder, "orders"), path: "/v1/orders",
		body: `{"customer":"ann","currency":"EUR","items":[{"sku":"a","quantity":1,"unit_price":1}]}`,
		command: func(file, addr, database string) *exec.Cmd {
			c := exec.CommandContext(context.Background(), file) // #nosec G204 -- built just now
			c.Env = []string{"ORDERS_HTTP_ADDR=" + addr, "ORDERS_ADMIN_ADDR=127.0.0.1:0", "ORDERS_DATABASE_URL=sqlite:" + database,
				"ORDERS_SHUTDOWN_DRAIN=0s", "ORDERS_RATE_LIMIT=0", "ORDERS_HTTP_TIMEOUT=1m"}
			return c
		}}
	return p, p.build("", "./cmd/orders")
}

// buildPodinfo builds podinfo into a folder, at the version of its own go.mod.
func buildPodinfo(folder string) (program, error) {
	p := program{name: "podinfo", file: filepath.Join(folder, "podinfo"), path: "/api/info",
		command: func(file, addr, _ string) *exec.Cmd {
			host, port, _ := net.SplitHostPort(addr)                                               // our own address
			return exec.CommandContext(context.Background(), file, "--host", host, "--port", port) // #nosec G204 -- built just now
		}}
	return p, p.build("bench/podinfo", "github.com/stefanprodan/podinfo/cmd/podinfo")
}

// build builds a package of a module in a subfolder of the service; "" is the service itself.
func (p program) build(module, name string) error {
	root, err := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return fmt.Errorf("find the service: run bench in its folder: %w", err)
	}
	c := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", p.file, name) // #nosec G204 -- our own arguments
	c.Dir, c.Env = filepath.Join(strings.TrimSpace(string(root)), module), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return nil
}

// figure is something measured, and its limit.
type figure struct {
	name         string
	value, limit float64
	unit         string
	ratio        float64 // the limit as a multiple of podinfo's figure, which counts instead of limit if podinfo is measured; 0 for none
}

// limitBeside returns the limit of f; podinfo is the same figure of podinfo, or nil if that is not measured.
func (f figure) limitBeside(podinfo *figure) float64 {
	if podinfo == nil || f.ratio == 0 {
		return f.limit
	}
	return f.ratio * podinfo.value
}

// measurePrograms measures the service and, if it could be built, podinfo. The limits are those of the service.
func measurePrograms(w io.Writer, orders program, podinfo *program, folder string, starts int) error {
	programs := []program{orders}
	if podinfo != nil {
		programs = append(programs, *podinfo)
	}
	all := make([][]figure, len(programs))
	for i, p := range programs {
		figures, err := weigh(p.file)
		if err != nil {
			return err
		}
		running, err := watchRunning(p, filepath.Join(folder, p.name+"-"), starts)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		all[i] = append(figures, running...)
	}
	fmt.Fprintf(w, "%-44s %12s", "", "limit")
	for _, p := range programs {
		fmt.Fprintf(w, "%12s", p.name)
	}
	fmt.Fprintln(w)
	var failed []string
	for i, f := range all[0] {
		var peer *figure
		if podinfo != nil {
			peer = &all[1][i]
		}
		if !f.report(w, peer) {
			failed = append(failed, f.name)
		}
	}
	fmt.Fprintln(w)
	if failed != nil {
		return fmt.Errorf("%s: above the limit", strings.Join(failed, ", "))
	}
	return nil
}

// report writes a row of the table, and reports whether the figure is within its limit.
func (f figure) report(w io.Writer, podinfo *figure) (ok bool) {
	limit := f.limitBeside(podinfo)
	fmt.Fprintf(w, "%-44s %8.0f %-3s%12.1f", f.name, limit, f.unit, f.value)
	if podinfo != nil {
		fmt.Fprintf(w, "%12.1f", podinfo.value)
		if f.ratio > 0 {
			fmt.Fprintf(w, "  %.2fx podinfo, at most %.2fx", f.value/podinfo.value, f.ratio)
		}
	}
	ok = f.value <= limit
	if !ok {
		fmt.Fprint(w, "  above the limit")
	}
	fmt.Fprintln(w)
	return ok
}

func weigh(file string) ([]figure, error) {
	b, err := os.ReadFile(file) // #nosec G304 -- built just now
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
	return []figure{{name: "size", value: float64(len(b)) / 1e6, limit: maxMB, unit: "MB"},
		{name: "size, compressed", value: float64(compressed) / 1e6, limit: maxCompressedMB, unit: "MB"}}, nil
}

// counter counts what is written to it.
type counter int

// Write implements [io.Writer].
func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// watchRunning starts the program several times, with a new database and with an existing one, and loads it once. The fastest start
// counts: other processes on the machine can only slow it down.
func watchRunning(p program, prefix string, starts int) ([]figure, error) {
	var fresh, again []float64
	for i := range starts {
		database := fmt.Sprintf("%s%d.db", prefix, i)
		for _, times := range []*[]float64{&fresh, &again} {
			r, err := p.start(database)
			if err != nil {
				return nil, err
			}
			*times = append(*times, float64(r.answered.Microseconds())/1e3)
			r.stop()
		}
	}
	r, err := p.start(prefix + "idle.db")
	if err != nil {
		return nil, err
	}
	defer r.stop()
	time.Sleep(idleAfter)
	idle, err := residentMiB(r.process.Process.Pid)
	if err != nil {
		return nil, err
	}
	if err := r.load(); err != nil {
		return nil, err
	}
	loaded, err := residentMiB(r.process.Process.Pid)
	if err != nil {
		return nil, err
	}
	return []figure{{name: "from exec to the first 200, new database", value: slices.Min(fresh), limit: maxStartMillis, unit: "ms", ratio: maxStartRatio},
		{name: "from exec to the first 200, again", value: slices.Min(again), limit: maxStartMillis, unit: "ms", ratio: maxStartRatio},
		{name: "memory (RSS), idle", value: idle, limit: maxIdleMiB, unit: "MiB"}, {name: "memory (RSS), under load", value: loaded, limit: maxLoadMiB, unit: "MiB"}}, nil
}

// running is a program that serves.
type running struct {
	program
	process  *exec.Cmd
	addr     string
	answered time.Duration // from exec to the first 200
}

func (p program) start(database string) (*running, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	r := &running{program: p, addr: addr, process: p.command(p.file, addr, database)}
	r.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	begun := time.Now()
	if err := r.process.Start(); err != nil {
		return nil, err
	}
	for time.Since(begun) < startPatience {
		if ok := ask200(addr, p.path); ok {
			r.answered = time.Since(begun)
			return r, nil
		}
		time.Sleep(startPollingStep)
	}
	r.stop()
	return nil, errors.New("the program does not respond")
}

func freeAddr() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// ask200 makes one request without the cost of an HTTP client, and reports whether the response is 200.
func ask200(addr, path string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close() //nolint:errcheck // all was read
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: orders\r\nConnection: close\r\n\r\n"); err != nil {
		return false
	}
	status, err := bufio.NewReader(conn).ReadString('\n')
	return err == nil && strings.HasPrefix(status, "HTTP/1.1 200 ")
}

// stop ends the program. podinfo drains for seconds after SIGTERM, so it is killed.
func (r *running) stop() {
	signal := syscall.SIGTERM
	if r.body == "" {
		signal = syscall.SIGKILL
	}
	_ = r.process.Process.Signal(signal) // it may have ended
	_ = r.process.Wait()
}

// load makes requests on all connections concurrently; some of them place orders.
func (r *running) load() error {
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
				errs[i] = r.call(client, n%20 == 0 && r.body != "")
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r *running) call(client *http.Client, place bool) error {
	method, body := http.MethodGet, io.Reader(nil)
	if place {
		method, body = http.MethodPost, strings.NewReader(r.body)
	}
	request, err := http.NewRequestWithContext(context.Background(), method, "http://"+r.addr+r.path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // all was read
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusBadRequest {
		return fmt.Errorf("%s %s: %s", method, r.path, response.Status)
	}
	return nil
}
