// Package admin serves probes, metrics, profiles and fault injection for operators. Its port must not be reachable from
// outside of the cluster.
package admin

import (
	"context"
	"encoding/json/v2"
	"fmt"
	"net/http"
	"net/http/pprof" // #nosec G108 -- it registers with the default mux, which nothing here serves
	"time"

	"go.uber.org/zap"

	"gitlab.com/slipway-ci/slipway/service/httpapi"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// readyTimeout bounds the database check of /readyz.
const readyTimeout = time.Second

// Service reports the state that the probes respond with.
type Service interface {
	// Started reports whether startup has finished.
	Started() bool
	// Draining reports whether the service is shutting down.
	Draining() bool
	// Ready returns an error while requests would fail.
	Ready(ctx context.Context) error
}

// Options configures the handler.
type Options struct {
	Service  Service
	Build    telemetry.Build
	Metrics  http.Handler
	Level    zap.AtomicLevel
	SetFault func(*httpapi.Fault) (ok bool) // false during startup
	Recorder *Recorder
}

// New returns the handler of the admin listener.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", index)
	mux.HandleFunc("GET /livez", o.livez)
	mux.HandleFunc("GET /healthz", o.healthz)
	mux.HandleFunc("GET /startupz", o.healthz)
	mux.HandleFunc("GET /readyz", o.readyz)
	mux.HandleFunc("GET /version", o.version)
	mux.Handle("GET /metrics", o.Metrics)
	mux.Handle("/log/level", o.Level) // GET and PUT {"level":"debug"}
	faults := &faults{set: o.SetFault}
	mux.HandleFunc("GET /faults", faults.get)
	mux.HandleFunc("PUT /faults", faults.put)
	mux.HandleFunc("DELETE /faults", faults.delete)
	mux.HandleFunc("GET /debug/flight", o.Recorder.serve)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return mux
}

// pages are the entries of the index.
var pages = []struct{ Path, Text string }{
	{"/livez", "liveness; succeeds while draining, too"}, {"/startupz", "started"}, {"/readyz", "readiness: requests would succeed"}, {"/healthz", "started; checks no dependencies"},
	{"/version", "version, commit and Go version"}, {"/metrics", "metrics"}, {"/log/level", "the log level; PUT changes it"},
	{"/faults", "faults that are injected; PUT and DELETE change them"}, {"/debug/pprof/", "profiles"},
	{"/debug/flight", "execution trace of the last seconds; the first request starts recording"},
}

// index serves a list of links.
func index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	_, _ = fmt.Fprint(w, `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Orders: admin</title>`+
		`<style>:root{color-scheme:light dark;font:16px/1.6 system-ui,sans-serif}</style><h1>Orders: admin</h1><ul>`)
	for _, p := range pages {
		_, _ = fmt.Fprintf(w, `<li><a href="%s">%s</a> %s`, p.Path, p.Path, p.Text)
	}
	_, _ = fmt.Fprintln(w, "</ul></html>")
}

// livez succeeds while the process responds, also while it drains: otherwise Kubernetes would kill it.
func (o Options) livez(w http.ResponseWriter, _ *http.Request) { writeText(w, http.StatusOK, "alive") }

// healthz checks no dependencies.
func (o Options) healthz(w http.ResponseWriter, _ *http.Request) {
	if !o.Service.Started() {
		writeText(w, http.StatusServiceUnavailable, "starting")
		return
	}
	writeText(w, http.StatusOK, "started")
}

func (o Options) readyz(w http.ResponseWriter, r *http.Request) {
	switch {
	case !o.Service.Started():
		writeText(w, http.StatusServiceUnavailable, "starting")
		return
	case o.Service.Draining():
		writeText(w, http.StatusServiceUnavailable, "draining")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := o.Service.Ready(ctx); err != nil {
		writeText(w, http.StatusServiceUnavailable, "database: "+err.Error())
		return
	}
	writeText(w, http.StatusOK, "ready")
}

func (o Options) version(w http.ResponseWriter, _ *http.Request) { writeJSON(w, o.Build) }

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.MarshalWrite(w, v) // an error means that the client has gone
}
