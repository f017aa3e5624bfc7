package admin

import (
	"net/http"
	"runtime/trace"
	"sync"
	"time"
)

// The flight recorder keeps the last seconds of execution, within a bound of memory.
const (
	flightAge   = 10 * time.Second
	flightBytes = 4 << 20
)

// Recorder keeps an execution trace of the last seconds. It starts with the first request, since recording costs memory and CPU
// time.
type Recorder struct {
	mu     sync.Mutex
	flight *trace.FlightRecorder
}

// serve responds with the recording, for `go tool trace`. The first request starts it.
func (r *Recorder) serve(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight == nil {
		flight := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: flightAge, MaxBytes: flightBytes})
		if err := flight.Start(); err != nil {
			writeText(w, http.StatusConflict, err.Error())
			return
		}
		r.flight = flight
		writeText(w, http.StatusAccepted, "recording has started; request again to download it")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="flight.trace"`)
	_, _ = r.flight.WriteTo(w) // an error means that the client has gone
}

// Stop ends the recording.
func (r *Recorder) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight != nil {
		r.flight.Stop()
		r.flight = nil
	}
}
