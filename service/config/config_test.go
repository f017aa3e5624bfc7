package config_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gitlab.com/slipway-ci/slipway/service/config"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	l, err := config.Source{}.Load()
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		HTTP:     config.HTTP{Addr: "127.0.0.1:8080", MaxBody: 65536, MaxInFlight: 256, MaxConns: 1024, Timeout: 5 * time.Second, PayTimeout: 15 * time.Second},
		Admin:    config.Admin{Addr: "127.0.0.1:8081"},
		Auth:     config.Auth{Mode: "auto"},
		Rate:     config.Rate{Limit: 100, Burst: 200},
		Database: config.Database{URL: "sqlite:orders.db", MaxConns: 10, Migrate: true, MigrateTimeout: time.Minute},
		Payments: config.Payments{Timeout: 3 * time.Second, Retries: 2},
		Log:      config.Log{Level: "info", Format: "json"},
		Trace:    config.Trace{Ratio: 0.1},
		Shutdown: config.Shutdown{Drain: 5 * time.Second, Timeout: 20 * time.Second},
	}
	if diff := cmp.Diff(want, l.Config); diff != "" {
		t.Error(diff)
	}
	if !l.Open() || l.Files != nil || l.Database.Path() != "orders.db" {
		t.Errorf("open %v, files %v, path %s", l.Open(), l.Files, l.Database.Path())
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := write(t, "# settings\nlog.level: debug # loud\nhttp.max_body: 2048\nrate.burst: \"7\"\nhttp.cors_origins: https://a.example, https://b.example\n\nlog.format: 'console'\n")
	l, err := config.Source{Args: []string{"--log.level=error", "--http.h2c"}, Environ: []string{"ORDERS_CONFIG=" + file, "ORDERS_LOG_LEVEL=warn",
		"ORDERS_HTTP_MAX_BODY=4096", "PATH=/bin", "ORDERS_SERVICE_HOST=10.0.0.1", "ORDERS_PORT_8080_TCP_PORT=8080", "ORDERS_ADMIN_PORT=tcp://10.0.0.1:8081", "ORDERS_DATABASE_SERVICE_HOST=10.0.0.2",
		"ORDERS_DATABASE_SERVICE_PORT_HTTP=1"}}.Load()
	if err != nil {
		t.Fatal(err)
	}
	if l.Log.Level != "error" || l.HTTP.MaxBody != 4096 || l.Rate.Burst != 7 || l.Log.Format != "console" || !l.HTTP.H2C {
		t.Errorf("%+v", l.Config)
	}
	if diff := cmp.Diff([]string{"https://a.example", "https://b.example"}, l.HTTP.CORSOrigins); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{file}, l.Files); diff != "" {
		t.Error(diff)
	}
	other := write(t, "log.level: warn")
	if l, err = (config.Source{Args: []string{"--config", other}, Environ: []string{"ORDERS_CONFIG=" + file}}).Load(); err != nil || l.Log.Level != "warn" {
		t.Errorf("--config: %v", err)
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	url := write(t, "postgres://u:hunter2@db/orders\n")
	keys := write(t, "shop 0123456789abcdef orders:read\n")
	l, err := config.Source{Args: []string{"--payments.token_file", keys}, Environ: []string{"ORDERS_DATABASE_URL_FILE=" + url, "ORDERS_API_KEYS_FILE=" + keys, "ORDERS_HTTP_ADDR=:80"}}.Load()
	if err != nil {
		t.Fatal(err)
	}
	if l.Database.URL != "postgres://u:hunter2@db/orders" || l.Database.Path() != "" || l.Open() {
		t.Errorf("%q, open %v", string(l.Database.URL), l.Open())
	}
	if diff := cmp.Diff([]string{keys, url, keys}, l.Files); diff != "" {
		t.Error(diff)
	}
	var b bytes.Buffer
	if err := l.Print(&b); err != nil || strings.Contains(b.String(), "hunter2") || strings.Contains(b.String(), "0123456789abcdef") {
		t.Errorf("%v\n%s", err, b.String())
	}
	if !strings.Contains(b.String(), "database.url: [set]\n") {
		t.Errorf("printed: %s", b.String())
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	empty := write(t, "\n")
	file := write(t, "nonsense: 1\nlog.level info\nhttp:\n  addr: x\nrate.burst: 1\nrate.burst: 2\nhttp.addr_file: x\n")
	tests := []struct {
		name    string
		args    []string
		environ []string
		want    []string // lines of the error, in this order
	}{
		{"unknown flag", []string{"--nope"}, nil, []string{"flag provided but not defined: -nope"}},
		{"an argument", []string{"nope"}, nil, []string{`unexpected argument "nope"`}},
		{"unknown variable", nil, []string{"ORDERS_HTTP_ADR=x"}, []string{"ORDERS_HTTP_ADR: unknown setting"}},
		{"missing file", []string{"--config", "/nowhere"}, nil, []string{"read configuration: open /nowhere"}},
		{"a file full of problems", []string{"--config", file}, nil, []string{file + ":1: unknown setting nonsense", file + ":2: want KEY: VALUE",
			file + ":3: unknown setting http", file + ":4: want KEY: VALUE", file + ":6: rate.burst is set twice", file + ":7: unknown setting http.addr_file"}},
		{"an invalid number, and more", []string{"--rate.burst=many", "--rate.limit=NaN", "--http.h2c=perhaps", "--log.level="}, []string{"ORDERS_SHUTDOWN_DRAIN=5"},
			[]string{"--http.h2c:", "--rate.limit:", "--rate.burst:", "--log.level: must not be empty", "ORDERS_SHUTDOWN_DRAIN:"}},
		{"a secret twice", []string{"--database.url=sqlite:x", "--database.url_file=" + empty}, nil, []string{"--database.url: both the value and its file are set", "--database.url: " + empty + " is empty"}},
		{"a secret's file is missing", nil, []string{"ORDERS_API_KEYS_FILE=/nowhere"}, []string{"ORDERS_API_KEYS: read /nowhere: no such file"}},
		{"values out of range, together", nil, []string{"ORDERS_HTTP_ADDR=x", "ORDERS_ADMIN_ADDR=1:2:3", "ORDERS_HTTP_TLS_CERT=x", "ORDERS_HTTP_MAX_BODY=1", "ORDERS_HTTP_MAX_IN_FLIGHT=0",
			"ORDERS_HTTP_TIMEOUT=0s", "ORDERS_HTTP_PAY_TIMEOUT=-1s", "ORDERS_HTTP_CORS_ORIGINS=shop", "ORDERS_AUTH_MODE=maybe", "ORDERS_AUTH_JWKS_URL=x", "ORDERS_RATE_LIMIT=-1", "ORDERS_RATE_BURST=0",
			"ORDERS_DATABASE_URL=mysql://x", "ORDERS_DATABASE_MAX_CONNS=0", "ORDERS_PAYMENTS_URL=x", "ORDERS_PAYMENTS_TIMEOUT=0s", "ORDERS_PAYMENTS_RETRIES=11", "ORDERS_LOG_LEVEL=loud",
			"ORDERS_LOG_FORMAT=xml", "ORDERS_TRACE_ENDPOINT=collector", "ORDERS_TRACE_RATIO=2", "ORDERS_SHUTDOWN_DRAIN=-1s", "ORDERS_SHUTDOWN_TIMEOUT=0s"},
			[]string{"http.addr:", "admin.addr:", "http.tls_cert:", "http.max_body:", "http.max_in_flight:", "http.timeout:", "http.pay_timeout:", "http.cors_origins:", "auth.mode:", "auth.mode:",
				"auth.jwks_url: must be", "auth.jwks_url: needs", "rate.limit:", "rate.burst:", "database.url:", "database.max_conns:", "payments.url:", "payments.timeout:", "payments.retries:",
				"log.level:", "log.format:", "trace.endpoint:", "trace.ratio:", "shutdown.drain:", "shutdown.timeout:"}},
		{"reachable without credentials", []string{"--http.addr=0.0.0.0:8080"}, nil, []string{"http.addr: 0.0.0.0:8080 is reachable from other machines"}},
		{"credentials without authentication", []string{"--auth.mode=none", "--api_keys=shop 0123456789abcdef orders:read"}, nil, []string{"auth.mode: is none, but"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Source{Args: test.args, Environ: test.environ}.Load()
			if err == nil {
				t.Fatal("no error")
			}
			lines := strings.Split(err.Error(), "\n")
			if len(lines) != len(test.want) {
				t.Errorf("%d problems, want %d:\n%v", len(lines), len(test.want), err)
			}
			for i, want := range test.want {
				if i < len(lines) && !strings.HasPrefix(lines[i], want) {
					t.Errorf("line %d is %q, want %q", i, lines[i], want)
				}
			}
		})
	}
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--http.addr=localhost:1"}, {"--http.addr=[::1]:1"}, {"--http.addr=127.9.9.9:1"}, {"--http.addr=:1", "--auth.mode=none"},
		{"--http.addr=:1", "--api_keys=shop 0123456789abcdef orders:read"}, {"--http.addr=:1", "--auth.jwks_url=https://i", "--auth.issuer=i", "--auth.audience=a"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			if _, err := (config.Source{Args: args}).Load(); err != nil {
				t.Errorf("%v: %v", args, err)
			}
		})
	}
	for _, addr := range []string{"", ":1", "0.0.0.0:1", "192.0.2.1:1", "example.com:1", "[::]:1"} {
		t.Run("refused "+addr, func(t *testing.T) {
			if _, err := (config.Source{Args: []string{"--http.addr=" + addr}}).Load(); err == nil {
				t.Errorf("%q can be reached by everybody without credentials", addr)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	if _, err := (config.Source{Args: []string{"--help"}}).Load(); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("%v, want ErrHelp", err)
	}
	var b bytes.Buffer
	if err := config.Help(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--http.addr, ORDERS_HTTP_ADDR (127.0.0.1:8080)", "--api_keys, ORDERS_API_KEYS[_FILE]", "--log.level", "can be reloaded"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing", want)
		}
	}
}

// TestPrintLoads prints a configuration, loads that, and gets the same.
func TestPrintLoads(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		args := []string{
			"--log.level=" + rapid.SampledFrom([]string{"debug", "info", "warn", "error"}).Draw(t, "level"),
			"--shutdown.drain=" + time.Duration(rapid.Int64Range(0, 1e12).Draw(t, "drain")).String(),
			"--http.cors_origins=" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"https://a", "http://b:1"}), 0, 3).Draw(t, "origins"), ","),
			"--trace.ratio=" + rapid.SampledFrom([]string{"0", "1", "0.25", "1e-9"}).Draw(t, "ratio"),
		}
		first, err := config.Source{Args: args}.Load()
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := first.Print(&b); err != nil {
			t.Fatal(err)
		}
		f, err := os.CreateTemp("", "config")
		if err != nil {
			t.Fatal(err)
		}
		defer os.Remove(f.Name())
		text := strings.Replace(b.String(), "database.url: [set]", "database.url: sqlite:orders.db", 1)
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		second, err := config.Source{Args: []string{"--config", f.Name()}}.Load()
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if diff := cmp.Diff(first.Config, second.Config); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestMerge(t *testing.T) {
	t.Parallel()
	load := func(args ...string) *config.Config {
		l, err := config.Source{Args: args}.Load()
		if err != nil {
			t.Fatal(err)
		}
		return &l.Config
	}
	running := load()
	merged, needRestart := running.Merge(load("--log.level=warn", "--rate.limit=5", "--http.addr=127.0.0.1:1", "--http.cors_origins=https://a", "--database.max_conns=3"))
	if diff := cmp.Diff(load("--log.level=warn", "--rate.limit=5", "--http.cors_origins=https://a"), merged); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"http.addr", "database.max_conns"}, needRestart); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(load(), running); diff != "" {
		t.Errorf("the running configuration was changed: %s", diff)
	}
}

// TestMistakenSetting shows that a variable which only looks like one of Kubernetes's is refused.
func TestMistakenSetting(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"ORDERS_HTTP_PORT=9090", "ORDERS_PORT=9090", "ORDERS_API_KEYS=shop short orders:read"} {
		t.Run(entry, func(t *testing.T) {
			if _, err := (config.Source{Environ: []string{entry}}).Load(); err == nil {
				t.Errorf("%s was accepted", entry)
			}
		})
	}
}
