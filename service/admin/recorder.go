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

// Recorder keeps what the runtime did in the last seconds, from the first time that it is asked: recording costs memory
// and a little time.
type Recorder struct {
	mu     sync.Mutex
	flight *trace.FlightRecorder
}

// serve answers with the recording, to be read with `go tool trace`. The first request begins it.
func (r *Recorder) serve(w http.ResponseWriter, _ *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.flight == nil {
		flight := trace.NewFlightRecorder(trace.FlightRecorderConfig{MinAge: flightAge, MaxBytes: flightBytes})
		if err := flight.Start(); err != nil {
			say(w, http.StatusConflict, err.Error())
			return
		}
		r.flight = flight
		say(w, http.StatusAccepted, "recording; ask again when it happened")
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="flight.trace"`)
	_, _ = r.flight.WriteTo(w) // the client has gone: nobody to tell
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
