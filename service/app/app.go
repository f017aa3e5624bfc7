// Package app assembles the service and manages its lifecycle: New, Start, Reload, Stop. Tests run whole instances on port 0.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"go.uber.org/zap"

	"gitlab.com/slipway-ci/slipway/service/admin"
	"gitlab.com/slipway-ci/slipway/service/auth"
	"gitlab.com/slipway-ci/slipway/service/config"
	"gitlab.com/slipway-ci/slipway/service/httpapi"
	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/page"
	"gitlab.com/slipway-ci/slipway/service/payments"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// App is one instance of the service.
type App struct {
	source  config.Source
	build   telemetry.Build
	log     *zap.Logger
	stopLog func() error
	level   zap.AtomicLevel

	mu       sync.Mutex // guards config and cleanups
	config   *config.Config
	cleanups cleanups

	files       []string     // the configuration was read from them
	watcher     *watcher     // of these files
	certificate *certificate // nil without TLS
	traces      *telemetry.Traces
	metrics     *telemetry.Metrics
	auth        *auth.Authenticator
	orders      *order.Service
	provider    func() string // the state of the payment provider
	born        time.Time
	public      *httpapi.Server
	addr, admin net.Addr
	started     atomic.Bool
	draining    atomic.Bool
	failed      chan error
}

// New loads the configuration and returns an instance that logs to w. It does not start anything.
func New(source config.Source, build telemetry.Build, w io.Writer) (*App, error) {
	loaded, err := source.Load()
	if err != nil {
		return nil, err
	}
	keys, err := auth.ParseKeys(string(loaded.APIKeys))
	if err != nil {
		return nil, err
	}
	level, err := zap.ParseAtomicLevel(loaded.Log.Level)
	if err != nil {
		return nil, err
	}
	a := &App{source: source, build: build, config: &loaded.Config, files: loaded.Files, level: level, failed: make(chan error, 2),
		metrics: telemetry.NewMetrics(build), traces: telemetry.NoTraces(), born: time.Now()}
	a.log, a.stopLog = telemetry.NewLogger(w, level, loaded.Log.Format)
	if !loaded.Open() {
		var tokens *auth.Tokens
		if loaded.Auth.JWKSURL != "" {
			tokens = auth.NewTokens(loaded.Auth.JWKSURL, loaded.Auth.Issuer, loaded.Auth.Audience, time.Now)
		}
		a.auth = auth.New(keys, tokens)
	}
	if loaded.HTTP.TLSCert != "" {
		if a.certificate, err = loadCertificate(loaded.HTTP.TLSCert, loaded.HTTP.TLSKey); err != nil {
			return nil, err
		}
		a.files = withCertificate(a.files, loaded.HTTP)
	}
	return a, nil
}

// withCertificate adds the files of the certificate to those that are watched.
func withCertificate(files []string, c config.HTTP) []string {
	if c.TLSCert == "" {
		return files
	}
	return append(files, c.TLSCert, c.TLSKey)
}

// Addr returns the address of the public listener after Start.
func (a *App) Addr() net.Addr { return a.addr }

// AdminAddr returns the address of the admin listener after Start.
func (a *App) AdminAddr() net.Addr { return a.admin }

// Failed receives the error of a listener that fails after Start.
func (a *App) Failed() <-chan error { return a.failed }

// Started implements [admin.Service].
func (a *App) Started() bool { return a.started.Load() }

// Draining implements [admin.Service].
func (a *App) Draining() bool { return a.draining.Load() }

// Ready implements [admin.Service].
func (a *App) Ready(ctx context.Context) error { return a.orders.Ready(ctx) }

// Start binds the listeners, opens the store and serves. On failure it releases what it had acquired.
func (a *App) Start(ctx context.Context) (err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer func() {
		if err != nil {
			err = errors.Join(err, a.cleanups.run(context.WithoutCancel(ctx)))
		}
	}()
	a.cleanups.push("log", func(context.Context) error { return a.stopLog() })
	// Near the container's memory limit the garbage collector runs more often, so that the process is not killed.
	if limit, err := memlimit.Set(memlimit.WithRatio(memoryShare)); err == nil && limit > 0 && limit < math.MaxInt64 {
		a.log.Info("memory limit", zap.Int64("bytes", limit))
	}
	listener, err := listen(ctx, "http.addr", a.config.HTTP.Addr)
	if err != nil {
		return err
	}
	a.addr = listener.Addr()
	a.cleanups.push("listener", func(context.Context) error { return ignoreClosed(listener.Close()) })
	adminListener, err := listen(ctx, "admin.addr", a.config.Admin.Addr)
	if err != nil {
		return err
	}
	a.admin = adminListener.Addr()
	recorder := new(admin.Recorder)
	a.cleanups.push("flight recorder", func(context.Context) error { recorder.Stop(); return nil })
	a.serve("admin", adminListener, admin.New(admin.Options{Service: a, Build: a.build, Metrics: a.metrics.Handler(), Level: a.level,
		SetFault: a.setFault, Recorder: recorder}), adminWriteTimeout, newConnections(maxAdminConns), nil)
	if err := a.startDomain(ctx); err != nil {
		return err
	}
	if a.public, err = httpapi.New(a.publicOptions(), limitsOf(a.config)); err != nil {
		return err
	}
	conns := newConnections(a.config.HTTP.MaxConns)
	a.metrics.Gauge("http_connections", "Connections of clients.", func() float64 { return float64(conns.count()) })
	a.serve("public", listener, a.public, a.config.HTTP.PayTimeout+writeMargin, conns, a.certificate)
	a.started.Store(true)
	a.metrics.Reloaded(nil, time.Now())
	a.announce()
	return nil
}

// startDomain opens tracing, the store and the payment provider, and starts the workers.
func (a *App) startDomain(ctx context.Context) (err error) {
	c := a.config
	a.traces, err = telemetry.NewTraces(ctx, telemetry.TraceOptions{Endpoint: c.Trace.Endpoint, Protocol: c.Trace.Protocol, Ratio: c.Trace.Ratio,
		Build: a.build, Failed: func(spans int, err error) {
			a.metrics.SpansLost(spans)
			a.log.Warn("spans could not be sent", zap.Int("spans", spans), zap.Error(err))
		}})
	if err != nil {
		return err
	}
	a.cleanups.push("traces", a.traces.Shutdown)
	store, err := OpenStore(ctx, c.Database, a.traces)
	if err != nil {
		return err
	}
	a.cleanups.push("database", func(context.Context) error { return store.Close() })
	if err := prepareSchema(ctx, store, c.Database, a.log); err != nil {
		return err
	}
	a.metrics.AddPool(store.Pool)
	a.orders = order.NewService(a.metrics.Store(store), a.openPayments(), a.metrics, time.Now)
	a.cleanups.push("workers", a.startWorkers())
	if a.watcher, err = newWatcher(a.files, a.log, a.Reload); err != nil {
		return fmt.Errorf("watch configuration: %w", err)
	}
	a.cleanups.push("watcher", a.watcher.stop)
	if a.auth != nil {
		a.cleanups.push("authentication", func(context.Context) error { a.auth.Close(); return nil })
	}
	return nil
}

// setFault reports false until the public server exists; the admin listener starts before it.
func (a *App) setFault(f *httpapi.Fault) bool {
	if !a.started.Load() {
		return false
	}
	a.public.SetFault(f)
	return true
}

// openPayments returns a client of the configured provider, or the simulator without one.
func (a *App) openPayments() order.Payments {
	c := a.config.Payments
	if c.URL == "" {
		a.provider = func() string { return "simulated" }
		return payments.Simulator{}
	}
	client := payments.NewClient(payments.Options{URL: c.URL, Token: string(c.Token), Timeout: c.Timeout, Retries: c.Retries,
		Traces: a.traces, Breaker: a.metrics.Breaker})
	a.provider = client.State
	a.cleanups.push("payments", func(context.Context) error { client.Close(); return nil })
	return client
}

// state returns the state of the instance for the page.
func (a *App) state(ctx context.Context) page.State {
	database, provider := page.Part{Name: "database", State: "answers"}, page.Part{Name: "payments", State: a.provider()}
	if err := a.orders.Ready(ctx); err != nil {
		database.State, database.Bad = "does not answer", true
	}
	switch provider.State {
	case "closed":
		provider.State = "answers"
	case "open", "half-open":
		provider.State, provider.Bad = "does not answer", true
	}
	instance := page.Part{Name: "instance", State: "serves"}
	if a.Draining() {
		instance.State, instance.Bad = "draining", true
	}
	return page.State{Version: a.build.Version, Uptime: time.Since(a.born), InFlight: a.public.InFlight(), Recent: a.metrics.Recent(),
		Parts: []page.Part{instance, database, provider}}
}

func (a *App) announce() {
	a.log.Info("serving", zap.Stringer("http", a.addr), zap.Stringer("admin", a.admin),
		zap.String("version", a.build.Version), zap.String("commit", a.build.Commit))
	if a.config.Auth.Mode == "none" {
		a.log.Warn("anyone may call: auth.mode is none")
	} else if a.config.Open() {
		a.log.Warn("no credentials are configured, so only this machine can call; see api_keys and auth.jwks_url")
	}
}

func (a *App) publicOptions() httpapi.Options {
	c := a.config
	o := httpapi.Options{Orders: a.orders, Log: a.log, Metrics: a.metrics, Traces: a.traces, Now: time.Now, State: a.state,
		MaxBody: int64(c.HTTP.MaxBody), Timeout: c.HTTP.Timeout, PayTimeout: c.HTTP.PayTimeout, TLS: c.HTTP.TLSCert != ""}
	if a.auth != nil { // a nil pointer in an interface would not be nil
		o.Auth = a.auth
	}
	return o
}

func limitsOf(c *config.Config) httpapi.Limits {
	return httpapi.Limits{Rate: c.Rate.Limit, Burst: c.Rate.Burst, MaxInFlight: c.HTTP.MaxInFlight, CORSOrigins: c.HTTP.CORSOrigins,
		TrustedProxies: c.HTTP.TrustedProxies()}
}

// Stop shuts the instance down: it reports not ready, keeps serving for the drain delay, finishes running requests within the
// shutdown budget, and closes everything. When ctx ends, the drain delay ends, too.
func (a *App) Stop(ctx context.Context) error {
	a.draining.Store(true)
	a.mu.Lock()
	config, cleanups := a.config, a.cleanups
	a.cleanups = nil
	a.mu.Unlock() // a running reload must not wait for Stop, which waits for it
	if a.started.Load() {
		a.public.Drain()
		a.log.Info("draining", zap.Duration("delay", config.Shutdown.Drain))
		pause(ctx, config.Shutdown.Drain)
	}
	a.log.Info("stopping", zap.Duration("budget", config.Shutdown.Timeout))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), config.Shutdown.Timeout)
	defer cancel()
	return cleanups.run(ctx)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	writeMargin       = 10 * time.Second // to write the response, after the handler's time limit
	adminWriteTimeout = 2 * time.Minute  // a CPU profile takes its time
	maxHeaderBytes    = 16 << 10
	maxAdminConns     = 64
	memoryShare       = 0.9 // of the container's limit; the rest is for memory that Go does not count
)

// serve serves a handler until the cleanups run; over TLS when there is a certificate.
func (a *App) serve(name string, l net.Listener, h http.Handler, writeTimeout time.Duration, conns *connections, cert *certificate) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes, ErrorLog: zap.NewStdLog(a.log), ConnState: conns.note}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	if cert != nil {
		server.Protocols.SetHTTP2(true)
		l = tls.NewListener(l, cert.config())
	} else if a.config.HTTP.H2C {
		server.Protocols.SetUnencryptedHTTP2(true)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.failed <- fmt.Errorf("%s listener: %w", name, err)
		}
	}()
	a.cleanups.push(name+" server", func(ctx context.Context) error {
		err := server.Shutdown(ctx)
		if err != nil { // the budget is used up: running requests are aborted
			err = errors.Join(err, server.Close())
		}
		<-done
		return err
	})
}

func listen(ctx context.Context, key, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return l, nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
