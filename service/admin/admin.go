// Package admin serves operators and the machinery around the service: probes, metrics, profiles. It belongs on a port
// that the public cannot reach.
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

// readyTimeout bounds what /readyz waits for the database.
const readyTimeout = time.Second

// Service is what the probes ask.
type Service interface {
	// Started reports whether the start is over.
	Started() bool
	// Draining reports whether the service is about to stop.
	Draining() bool
	// Ready reports whether requests would succeed.
	Ready(ctx context.Context) error
}

// Options is what the handler serves.
type Options struct {
	Service  Service
	Build    telemetry.Build
	Metrics  http.Handler
	Level    zap.AtomicLevel
	SetFault func(*httpapi.Fault) (ok bool) // false while there is nothing to make fail
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

// pages are what the index lists.
var pages = []struct{ Path, Text string }{
	{"/livez", "alive; also while it drains"}, {"/startupz", "started"}, {"/readyz", "ready: requests would succeed"}, {"/healthz", "started; asks nothing else"},
	{"/version", "which program this is"}, {"/metrics", "metrics"}, {"/log/level", "the log level; PUT changes it"},
	{"/faults", "faults that are injected; PUT and DELETE change them"}, {"/debug/pprof/", "profiles"},
	{"/debug/flight", "what the runtime did in the last seconds; the first request begins to record"},
}

// index lists what there is.
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

// livez is green as long as the process can answer; above all while it drains, or Kubernetes would kill it then.
func (o Options) livez(w http.ResponseWriter, _ *http.Request) { say(w, http.StatusOK, "alive") }

// healthz depends on nothing that can be slow.
func (o Options) healthz(w http.ResponseWriter, _ *http.Request) {
	if !o.Service.Started() {
		say(w, http.StatusServiceUnavailable, "starting")
		return
	}
	say(w, http.StatusOK, "started")
}

func (o Options) readyz(w http.ResponseWriter, r *http.Request) {
	switch {
	case !o.Service.Started():
		say(w, http.StatusServiceUnavailable, "starting")
		return
	case o.Service.Draining():
		say(w, http.StatusServiceUnavailable, "draining")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
	defer cancel()
	if err := o.Service.Ready(ctx); err != nil {
		say(w, http.StatusServiceUnavailable, "database: "+err.Error())
		return
	}
	say(w, http.StatusOK, "ready")
}

func (o Options) version(w http.ResponseWriter, _ *http.Request) { answer(w, o.Build) }

func say(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.MarshalWrite(w, v) // the client has gone: nobody to tell
}
