package app_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/service/app"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
	"gitlab.com/slipway-ci/slipway/service/testlog"
)

func (i *instance) probe(t *testing.T, path string) answer {
	t.Helper()
	return i.get(t, i.admin+path)
}

func TestProbes(t *testing.T) {
	onBothStores(t, func(t *testing.T, i *instance) {
		for path, want := range map[string]string{"/livez": "alive\n", "/healthz": "started\n", "/startupz": "started\n", "/readyz": "ready\n"} {
			a := i.probe(t, path)
			if wantStatus(t, a, http.StatusOK); a.body != want {
				t.Errorf("%s says %q", path, a.body)
			}
		}
		var build telemetry.Build
		i.probe(t, "/version").decode(t, &build)
		if build.Version != "v1.2.3" || build.Commit != "abc123" || !strings.HasPrefix(build.Go, "go1.") {
			t.Errorf("version %+v", build)
		}
		for _, path := range []string{"/metrics", "/debug/pprof/", "/healthz", "/log/level", "/faults", "/version"} {
			wantStatus(t, i.get(t, path), http.StatusNotFound) // not on the public port
		}
	})
}

// TestStarting shows that the listeners are bound, and that the probes report the start, before the database responds.
func TestStarting(t *testing.T) {
	t.Parallel()
	silent, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0") // accepts connections, and never responds
	if err != nil {
		t.Fatal(err)
	}
	admin := freeAddr(t)
	i := newInstance(t, settings{"DATABASE_URL": "postgres://u:p@" + silent.Addr().String() + "/x", "ADMIN_ADDR": admin})
	ctx, cancel := context.WithCancel(t.Context())
	started := make(chan error, 1)
	go func() { started <- i.Start(ctx) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	status := func(path string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			return 0
		}
		_ = response.Body.Close()
		return response.StatusCode
	}
	testlog.Eventually(t, "an answer of the admin listener", func() bool { return status("/livez") == http.StatusOK })
	for _, path := range []string{"/startupz", "/readyz", "/healthz"} {
		if got := status(path); got != http.StatusServiceUnavailable {
			t.Errorf("%s answers %d while the service starts", path, got)
		}
	}
	cancel()
	_ = silent.Close()
	if err := <-started; err == nil {
		t.Error("Start succeeded without a database")
	}
	if got := status("/livez"); got != 0 {
		t.Errorf("the admin listener answers %d after a failed start", got)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return l.Addr().String()
}

func TestStartFails(t *testing.T) {
	t.Parallel()
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	for name, test := range map[string]struct {
		settings settings
		want     string
	}{
		"public port in use": {settings{"HTTP_ADDR": taken.Addr().String()}, "http.addr: listen tcp " + taken.Addr().String()},
		"admin port in use":  {settings{"ADMIN_ADDR": taken.Addr().String()}, "admin.addr: listen tcp"},
		"no folder":          {settings{"DATABASE_URL": "sqlite:/nowhere/orders.db"}, "/nowhere/orders.db"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstance(t, test.settings)
			if err := i.Start(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("Start = %v, want %q", err, test.want)
			}
		})
	}
}

func TestNewFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		settings settings
		want     string
	}{
		"reachable without credentials": {settings{"HTTP_ADDR": ":0"}, "http.addr"},
		"a key that is too short":       {settings{"API_KEYS": "shop short orders:read"}, "api_keys: line 1"},
		"no certificate":                {settings{"HTTP_TLS_CERT": "/nowhere", "HTTP_TLS_KEY": "/nowhere"}, "http.tls_cert: open /nowhere"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := app.New(source(t, test.settings), telemetry.Build{}, new(testlog.Buffer)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: New = %v, want %q", name, err, test.want)
			}
		})
	}
	i := start(t, settings{"HTTP_ADDR": ":0", "AUTH_MODE": "none"})
	i.log.Wait(t, "anyone may call")
}

// TestDrain shows the order of a stop: not ready immediately, alive and serving for the delay, then running requests finish.
func TestDrain(t *testing.T) {
	t.Parallel()
	i := start(t, settings{"SHUTDOWN_DRAIN": "8s"})
	wantStatus(t, i.do(t, http.MethodPut, i.admin+"/faults", `{"delay":"300ms","delay_ratio":1}`), http.StatusNoContent)
	var load sync.WaitGroup
	var served, failed, stopping atomic.Int64
	for range 4 {
		load.Go(func() {
			for stopping.Load() == 0 {
				if a := i.get(t, "/v1/orders"); a.status == http.StatusOK {
					served.Add(1)
				} else {
					failed.Add(1)
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond) // some are under way
	begun := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- i.Stop(context.Background()) }()
	testlog.Eventually(t, "not ready", func() bool { return i.probe(t, "/readyz").status == http.StatusServiceUnavailable })
	if a := i.probe(t, "/readyz"); a.body != "draining\n" {
		t.Errorf("/readyz says %q", a.body)
	}
	wantStatus(t, i.probe(t, "/livez"), http.StatusOK)
	wantStatus(t, i.probe(t, "/healthz"), http.StatusOK)
	if a := i.get(t, "/v1/orders"); a.status != http.StatusOK {
		t.Errorf("while draining a request is answered %d", a.status)
	}
	stopping.Store(1) // a load balancer has understood
	load.Wait()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took < 8*time.Second {
		t.Errorf("it stopped after %v", took)
	}
	if failed.Load() > 0 || served.Load() < 4 {
		t.Errorf("%d requests failed, %d were served", failed.Load(), served.Load())
	}
	if _, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", i.Addr().String()); err == nil {
		t.Error("the port is still open")
	}
}

// TestStopBudget shows that a request that does not end cannot keep the instance from ending.
func TestStopBudget(t *testing.T) {
	t.Parallel()
	i := start(t, settings{"SHUTDOWN_TIMEOUT": "200ms", "HTTP_TIMEOUT": "1m"})
	wantStatus(t, i.do(t, http.MethodPut, i.admin+"/faults", `{"delay":"50s","delay_ratio":1}`), http.StatusNoContent)
	done := make(chan error, 1)
	go func() {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, i.url+"/v1/orders", nil)
		if err == nil {
			_, err = i.client.Do(r) //nolint:bodyclose // it does not come to a body
		}
		done <- err
	}()
	testlog.Eventually(t, "the request", func() bool { return strings.Contains(i.probe(t, "/metrics").body, "http_requests_in_flight 1") })
	if err := i.Stop(context.Background()); err == nil || !strings.Contains(err.Error(), "stop public server: context deadline exceeded") {
		t.Errorf("Stop = %v", err)
	}
	if err := <-done; err == nil {
		t.Error("the request that does not end has an answer")
	}
}

func TestReload(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "orders.conf")
	write(t, file, "log.level: warn\nrate.limit: 1\nrate.burst: 1\n")
	i := start(t, settings{"CONFIG": file, "RATE_LIMIT": unset})
	wantStatus(t, i.get(t, "/v1/orders"), http.StatusOK)
	a := i.get(t, "/v1/orders")
	wantStatus(t, a, http.StatusTooManyRequests)
	if a.problem(t).Type != "urn:problem:orders:rate" || a.header.Get("Retry-After") != "1" {
		t.Errorf("too many requests: %v %s", a.header, a.body)
	}
	// The watcher notices, without a signal.
	write(t, file, "log.level: debug\nrate.limit: 0\nhttp.max_body: 2048\n")
	testlog.Eventually(t, "the new rate limit", func() bool { return i.get(t, "/v1/orders").status == http.StatusOK })
	testlog.Eventually(t, "the new log level", func() bool { return i.probe(t, "/log/level").body == "{\"level\":\"debug\"}\n" })
	i.log.Wait(t, `"settings":["http.max_body"]`)
	metrics := i.probe(t, "/metrics").body
	if !strings.Contains(metrics, "config_last_reload_successful 1") || !strings.Contains(metrics, `config_reloads_total{result="success"} 2`) {
		t.Errorf("metrics: %s", metrics)
	}
	// What is wrong changes nothing.
	write(t, file, "log.level: loud\nrate.limit: 1\nnonsense: 1\n")
	if err := i.Reload(); err == nil || !strings.Contains(err.Error(), "log.level") || !strings.Contains(err.Error(), file+":3: unknown setting nonsense") {
		t.Errorf("Reload = %v", err)
	}
	if metrics = i.probe(t, "/metrics").body; !strings.Contains(metrics, "config_last_reload_successful 0") {
		t.Error("the failure is not in the metrics")
	}
	for range 3 {
		wantStatus(t, i.get(t, "/v1/orders"), http.StatusOK)
	}
}

// TestReloadSwap changes a mounted ConfigMap, and a Secret, as kubelet does: by a link to another folder.
func TestReloadSwap(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	const shop, till = "shop key-of-the-shop-1 orders:read", "till key-of-the-till-2 orders:read"
	for name, keys := range map[string]string{"..1": shop, "..2": till} {
		if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(folder, name, "keys"), keys)
		write(t, filepath.Join(folder, name, "orders.yaml"), map[string]string{"..1": "log.level: info\n", "..2": "log.level: warn\n"}[name])
	}
	link := func(target, name string) {
		if err := os.Symlink(target, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", "..data")
	link("..data/keys", "keys")
	link("..data/orders.yaml", "orders.yaml")
	i := start(t, settings{"API_KEYS_FILE": filepath.Join(folder, "keys"), "CONFIG": filepath.Join(folder, "orders.yaml")})
	wantStatus(t, i.get(t, "/v1/orders", "X-API-Key", "key-of-the-shop-1"), http.StatusOK)
	wantStatus(t, i.get(t, "/v1/orders", "X-API-Key", "key-of-the-till-2"), http.StatusUnauthorized)
	link("..2", "..data_tmp")
	if err := os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")); err != nil {
		t.Fatal(err)
	}
	testlog.Eventually(t, "the new key", func() bool {
		return i.get(t, "/v1/orders", "X-API-Key", "key-of-the-till-2").status == http.StatusOK
	})
	wantStatus(t, i.get(t, "/v1/orders", "X-API-Key", "key-of-the-shop-1"), http.StatusUnauthorized)
	testlog.Eventually(t, "the new log level", func() bool { return strings.Contains(i.probe(t, "/log/level").body, `"warn"`) })
}

func TestReloadAfterStop(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	if err := i.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if err := i.Reload(); err == nil {
		t.Error("a stopped instance was reloaded")
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestReloadWatchesNewFiles names a secret file in a reload: from then on it is watched, and settings that need a restart are reported.
func TestReloadWatchesNewFiles(t *testing.T) {
	t.Parallel()
	folder, secrets := t.TempDir(), t.TempDir()
	file, keys := filepath.Join(folder, "orders.conf"), filepath.Join(secrets, "keys")
	const shop, till = "key-of-the-shop-1", "key-of-the-till-2"
	write(t, file, "api_keys: shop "+shop+" orders:read\n")
	write(t, keys, "till "+till+" orders:read\n")
	i := start(t, settings{"CONFIG": file})
	write(t, file, "api_keys_file: "+keys+"\nhttp.max_body: 2048\n")
	testlog.Eventually(t, "the keys of the new file", func() bool { return i.get(t, "/v1/orders", "X-API-Key", till).status == http.StatusOK })
	write(t, keys, "shop "+shop+" orders:read\n")
	testlog.Eventually(t, "the change of the new file", func() bool { return i.get(t, "/v1/orders", "X-API-Key", shop).status == http.StatusOK })
	if !strings.Contains(i.probe(t, "/metrics").body, "config_settings_need_restart 1") {
		t.Error("the metrics do not report that a setting needs a restart")
	}
}

// TestReloadNamesTheDatabase changes the mounted URL of the database: the service keeps the one it has, and says that a change takes a restart.
func TestReloadNamesTheDatabase(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := filepath.Join(folder, "url")
	write(t, file, "sqlite:"+filepath.Join(folder, "orders.db"))
	i := start(t, settings{"DATABASE_URL": unset, "DATABASE_URL_FILE": file})
	id := i.place(t).Id
	write(t, file, "postgres://u:hunter2@db/orders")
	i.log.Wait(t, `"settings":["database.url"]`)
	i.log.Wait(t, "changed settings take effect after a restart")
	if strings.Contains(i.log.String(), "hunter2") {
		t.Error("the log contains the password")
	}
	wantStatus(t, i.get(t, "/v1/orders/"+id), http.StatusOK)
	if !strings.Contains(i.probe(t, "/metrics").body, "config_settings_need_restart 1") {
		t.Error("the metrics do not count the setting")
	}
}
