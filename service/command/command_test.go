package command_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gitlab.com/slipway-ci/slipway/service/command"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// process runs a command with a database of its own, as main does.
type process struct {
	stdout, stderr output
	signals        chan os.Signal
	code           chan int
}

func run(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	return runWith(t, make(chan os.Signal, 2), environ, args...)
}

func runWith(t *testing.T, signals chan os.Signal, environ []string, args ...string) *process {
	t.Helper()
	p := &process{signals: signals, code: make(chan int, 1)}
	environ = append([]string{"ORDERS_HTTP_ADDR=127.0.0.1:0", "ORDERS_ADMIN_ADDR=127.0.0.1:0", "ORDERS_SHUTDOWN_DRAIN=0s",
		"ORDERS_DATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "orders.db")}, environ...)
	go func() {
		p.code <- command.Run(command.Process{Args: args, Environ: environ, Stdout: &p.stdout, Stderr: &p.stderr, Signals: p.signals},
			telemetry.Build{Version: "v1", Commit: "abc", Go: "go1"})
	}()
	return p
}

func (p *process) wait(t *testing.T, want int) {
	t.Helper()
	select {
	case code := <-p.code:
		if code != want {
			t.Errorf("exit code %d, want %d\n%s%s", code, want, p.stdout.String(), p.stderr.String())
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not end\n%s%s", p.stdout.String(), p.stderr.String())
	}
}

var addresses = regexp.MustCompile(`"http":"([^"]+)","admin":"([^"]+)"`)

// serving waits until the process serves.
func (p *process) serving(t *testing.T) (public, admin string) {
	t.Helper()
	for range 1000 {
		if m := addresses.FindStringSubmatch(p.stdout.String()); m != nil {
			return m[1], m[2]
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it does not serve\n%s%s", p.stdout.String(), p.stderr.String())
	return "", ""
}

// says waits until the process writes a text to its log.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	for range 2000 {
		if strings.Contains(p.stdout.String(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it does not say %q\n%s%s", text, p.stdout.String(), p.stderr.String())
}

func TestServe(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"serve"}, {"--log.level=info"}} {
		p := run(t, nil, args...)
		_, admin := p.serving(t)
		p.signals <- syscall.SIGHUP
		p.says(t, "configuration loaded")
		health := run(t, []string{"ORDERS_ADMIN_ADDR=" + admin}, "healthcheck")
		health.wait(t, 0)
		p.signals <- syscall.SIGTERM
		p.wait(t, 0)
		health = run(t, []string{"ORDERS_ADMIN_ADDR=" + strings.Replace(admin, "127.0.0.1", "", 1)}, "healthcheck")
		health.wait(t, 1)
		if !strings.Contains(health.stderr.String(), admin+"/healthz") {
			t.Errorf("stderr: %s", health.stderr.String())
		}
	}
}

// TestSecondSignal ends a drain that somebody does not want to wait for.
func TestSecondSignal(t *testing.T) {
	p := run(t, []string{"ORDERS_SHUTDOWN_DRAIN=3s"})
	p.serving(t)
	begun := time.Now()
	p.signals <- syscall.SIGTERM
	p.signals <- syscall.SIGHUP // is no reason to end
	for !strings.Contains(p.stdout.String(), "draining") && time.Since(begun) < 2*time.Second {
		time.Sleep(10 * time.Millisecond)
	}
	p.signals <- os.Interrupt
	p.wait(t, 1)
	if took := time.Since(begun); took > 2500*time.Millisecond || !strings.Contains(p.stderr.String(), "a second signal") {
		t.Errorf("after %v: %s", took, p.stderr.String())
	}
	time.Sleep(4 * time.Second) // a process would be gone; here the drain runs to its end
}

// TestReloadWhileStarting asks for the configuration before anything serves: the request is not lost.
func TestReloadWhileStarting(t *testing.T) {
	t.Parallel()
	for range 5 {
		signals := make(chan os.Signal, 2)
		signals <- syscall.SIGHUP
		p := runWith(t, signals, nil)
		p.says(t, "configuration loaded")
		p.signals <- syscall.SIGTERM
		p.wait(t, 0)
	}
}

func TestSignalWhileStarting(t *testing.T) {
	t.Parallel()
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() //nolint:errcheck // a listener of a test
	url := fmt.Sprintf("ORDERS_DATABASE_URL=postgres://u:p@%s/x", silent.Addr())
	p := run(t, []string{url})
	time.Sleep(100 * time.Millisecond)
	p.signals <- syscall.SIGHUP
	p.signals <- syscall.SIGTERM
	p.wait(t, 1)
	if !strings.Contains(p.stderr.String(), "ended by terminated while starting") {
		t.Errorf("stderr: %s", p.stderr.String())
	}
	m := run(t, []string{url}, "migrate")
	time.Sleep(100 * time.Millisecond)
	m.signals <- syscall.SIGTERM
	m.wait(t, 1)
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	url := "ORDERS_DATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "orders.db")
	first := run(t, []string{url}, "migrate")
	first.wait(t, 0)
	if !strings.Contains(first.stdout.String(), "00001_orders.sql") {
		t.Errorf("stdout: %s", first.stdout.String())
	}
	again := run(t, []string{url}, "migrate")
	again.wait(t, 0)
	if strings.Contains(again.stdout.String(), "00001_orders.sql") {
		t.Errorf("again: %s", again.stdout.String())
	}
	serve := run(t, []string{url, "ORDERS_DATABASE_MIGRATE=false"})
	public, admin := serve.serving(t)
	for _, target := range []string{"http://" + admin + "/readyz", "http://" + public + "/v1/orders"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = response.Body.Close(); response.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", target, response.Status)
		}
	}
	serve.signals <- syscall.SIGTERM
	serve.wait(t, 0)
}

func TestOthers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"version", []string{"version"}, 0, "orders v1 (commit abc, go1)\n", ""},
		{"help", []string{"--help"}, 0, "Usage: orders", ""},
		{"help of a command", []string{"config", "--help"}, 0, "--http.addr, ORDERS_HTTP_ADDR", ""},
		{"config", []string{"config", "--log.level=warn"}, 0, "log.level: warn\n", ""},
		{"unknown command", []string{"fly"}, 2, "", `orders: there is no command "fly"`},
		{"serve with unusable settings", []string{"serve", "--log.level=loud"}, 2, "", "orders: log.level: must be"},
		{"config with unusable settings", []string{"config", "--log.level=loud"}, 2, "", "orders: log.level: must be"},
		{"migrate with unusable settings", []string{"migrate", "--log.level=loud"}, 2, "", "orders: log.level: must be"},
		{"healthcheck with unusable settings", []string{"healthcheck", "--log.level=loud"}, 2, "", "orders: log.level: must be"},
		{"a folder that is missing", []string{"--database.url=sqlite:/nowhere/orders.db"}, 1, "", "orders: open /nowhere/orders.db: its folder does not exist"},
		{"migrate in a folder that is missing", []string{"migrate", "--database.url=sqlite:/nowhere/orders.db"}, 1, "", "orders: open /nowhere/orders.db"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := run(t, nil, test.args...)
			p.wait(t, test.code)
			if !strings.Contains(p.stdout.String(), test.stdout) || !strings.HasPrefix(p.stderr.String(), test.stderr) {
				t.Errorf("stdout %q\nstderr %q", p.stdout.String(), p.stderr.String())
			}
		})
	}
}
