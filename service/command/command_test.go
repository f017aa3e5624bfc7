package command_test

import (
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pressly/goose/v3/lock"

	"gitlab.com/slipway-ci/slipway/service/command"
	"gitlab.com/slipway-ci/slipway/service/pgtest"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
	"gitlab.com/slipway-ci/slipway/service/testlog"
)

func TestMain(m *testing.M) { pgtest.MainWithoutLeaks(m) }

// process runs a command with a database of its own, as main does.
type process struct {
	stdout, stderr testlog.Buffer
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
	case <-time.After(testlog.Patience):
		t.Fatalf("it does not end\n%s%s", p.stdout.String(), p.stderr.String())
	}
}

var addresses = regexp.MustCompile(`"http":"([^"]+)","admin":"([^"]+)"`)

// serving waits until the process serves.
func (p *process) serving(t *testing.T) (public, admin string) {
	t.Helper()
	testlog.Eventually(t, "serving", func() bool {
		if m := addresses.FindStringSubmatch(p.stdout.String()); m != nil {
			public, admin = m[1], m[2]
		}
		return admin != "" || len(p.code) > 0
	})
	if admin == "" {
		t.Fatalf("it does not serve\n%s%s", p.stdout.String(), p.stderr.String())
	}
	return public, admin
}

func TestServe(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"serve"}, {"--log.level=info"}} {
		p := run(t, nil, args...)
		_, admin := p.serving(t)
		p.signals <- syscall.SIGHUP
		p.stdout.Wait(t, "configuration loaded")
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

// TestReloadWhileStarting requests a reload during the start: it is not lost.
func TestReloadWhileStarting(t *testing.T) {
	t.Parallel()
	for range 5 {
		signals := make(chan os.Signal, 2)
		signals <- syscall.SIGHUP
		p := runWith(t, signals, nil)
		p.stdout.Wait(t, "configuration loaded")
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
	if !strings.Contains(p.stderr.String(), "stopped by terminated during startup") {
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

// databases are URLs of a new database of each kind.
var databases = map[string]func(t *testing.T) string{
	"sqlite":   func(t *testing.T) string { t.Helper(); return "sqlite:" + filepath.Join(t.TempDir(), "orders.db") },
	"postgres": func(t *testing.T) string { t.Helper(); return pgtest.Database(t) },
}

// TestMigrateTogether runs several migrations concurrently, as Jobs that are retried may: all succeed, each migration is applied once.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	for kind, database := range databases {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			url := "ORDERS_DATABASE_URL=" + database(t)
			var all []*process
			for range 4 {
				all = append(all, run(t, []string{url, "ORDERS_DATABASE_MAX_CONNS=1"}, "migrate"))
			}
			applied := ""
			for _, p := range all {
				p.wait(t, 0)
				applied += p.stdout.String()
			}
			for _, name := range []string{"00001_orders.sql", "00002_lists.sql"} {
				if n := strings.Count(applied, name); n != 1 {
					t.Errorf("%s was applied %d times: %s", name, n, applied)
				}
			}
			again := run(t, []string{url}, "migrate")
			again.wait(t, 0)
			if strings.Contains(again.stdout.String(), "applied") {
				t.Errorf("again: %s", again.stdout.String())
			}
		})
	}
}

// TestMigrateFails shows that a migration that cannot be applied, and a database that does not respond, exit with 1 and an error.
func TestMigrateFails(t *testing.T) {
	t.Parallel()
	for kind, driver := range map[string]string{"sqlite": "sqlite", "postgres": "pgx"} {
		t.Run("table in the way, "+kind, func(t *testing.T) {
			t.Parallel()
			url := databases[kind](t)
			db, err := sql.Open(driver, strings.TrimPrefix(url, "sqlite:"))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close() //nolint:errcheck // the test is over
			if _, err := db.ExecContext(t.Context(), "CREATE TABLE orders (other TEXT)"); err != nil {
				t.Fatal(err)
			}
			p := run(t, []string{"ORDERS_DATABASE_URL=" + url}, "migrate")
			p.wait(t, 1)
			if got := p.stderr.String(); !strings.Contains(got, "migrate: ") || !strings.Contains(got, "00001_orders.sql") || !strings.Contains(got, "already exists") {
				t.Errorf("stderr: %s", got)
			}
		})
	}
	t.Run("nobody answers", func(t *testing.T) {
		t.Parallel()
		p := run(t, []string{"ORDERS_DATABASE_URL=postgres://u:hunter2hunter2@127.0.0.1:1/x", "ORDERS_DATABASE_MIGRATE_TIMEOUT=1500ms"}, "migrate")
		p.wait(t, 1)
		if got := p.stderr.String(); !strings.Contains(got, "gave up after 1.5s, database.migrate_timeout") || strings.Contains(got+p.stdout.String(), "hunter2") {
			t.Errorf("stderr: %s", got)
		}
	})
	t.Run("another migration does not end", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Database(t)
		db, err := sql.Open("pgx", url)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close() //nolint:errcheck // the test is over
		conn, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close() //nolint:errcheck // the test is over
		if _, err := conn.ExecContext(t.Context(), "SELECT pg_advisory_lock($1)", lock.DefaultLockID); err != nil {
			t.Fatal(err)
		}
		p := run(t, []string{"ORDERS_DATABASE_URL=" + url, "ORDERS_DATABASE_MIGRATE_TIMEOUT=1s"}, "migrate")
		p.wait(t, 1)
		if got := p.stderr.String(); !strings.Contains(got, "gave up after 1s, database.migrate_timeout") {
			t.Errorf("stderr: %s", got)
		}
	})
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
		{"unknown command", []string{"fly"}, 2, "", `orders: unknown command "fly"`},
		{"serve with unusable settings", []string{"serve", "--log.level=loud"}, 2, "", "orders: log.level: must be"},
		{"config with unusable settings", []string{"config", "--log.level=loud"}, 2, "", "orders: log.level: must be"},
		{"serve with an origin that has a query", []string{"--http.cors_origins=https://shop.example?x=1"}, 2, "", "orders: http.cors_origins: "},
		{"config with an origin that has a query", []string{"config", "--http.cors_origins=https://shop.example?x=1"}, 2, "", "orders: http.cors_origins: "},
		{"serve on a port that is none", []string{"--http.addr=127.0.0.1:99999"}, 2, "", "orders: http.addr: must be"},
		{"config with a port that is none", []string{"config", "--admin.addr=127.0.0.1:web page"}, 2, "", "orders: admin.addr: must be"},
		{"serve with a parameter that PostgreSQL does not have", []string{"--database.url=postgres://db/orders?sslmode=maybe"}, 2, "", "orders: database.url: must be"},
		{"config with a parameter that PostgreSQL does not have", []string{"config", "--database.url=postgres://db/orders?sslmode=maybe"}, 2, "", "orders: database.url: must be"},
		{"config with an API key that is too short", []string{"config", "--api_keys=shop short orders:read"}, 2, "", "orders: api_keys: line 1"},
		{"config with a certificate that is missing", []string{"config", "--http.tls_cert=/nowhere", "--http.tls_key=/nowhere"}, 2, "", "orders: http.tls_cert: open /nowhere"},
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
