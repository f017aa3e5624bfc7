package admin

import (
	"encoding/json/v2"
	"net/http"
	"sync/atomic"
	"time"

	"gitlab.com/slipway-ci/slipway/service/httpapi"
)

// maxFaultBody is the largest request body, in bytes.
const maxFaultBody = 4096

// faults serves fault injection for rehearsals: PUT /faults {"error_ratio":0.1,"delay_ratio":0.5,"delay":"300ms"}.
type faults struct {
	set     func(*httpapi.Fault) bool
	current atomic.Pointer[fault]
}

type fault struct {
	ErrorRatio float64 `json:"error_ratio"`
	DelayRatio float64 `json:"delay_ratio"`
	Delay      string  `json:"delay"`
}

func (f *faults) get(w http.ResponseWriter, _ *http.Request) {
	current := f.current.Load()
	if current == nil {
		current = new(fault)
	}
	writeJSON(w, current)
}

func (f *faults) put(w http.ResponseWriter, r *http.Request) {
	wanted := fault{Delay: "0s"}
	if err := json.UnmarshalRead(http.MaxBytesReader(w, r.Body, maxFaultBody), &wanted, json.RejectUnknownMembers(true)); err != nil {
		writeText(w, http.StatusBadRequest, err.Error())
		return
	}
	delay, err := time.ParseDuration(wanted.Delay)
	if err != nil || delay < 0 || wanted.ErrorRatio < 0 || wanted.ErrorRatio > 1 || wanted.DelayRatio < 0 || wanted.DelayRatio > 1 {
		writeText(w, http.StatusUnprocessableEntity, "want ratios between 0 and 1, and a delay as 300ms")
		return
	}
	if !f.set(&httpapi.Fault{ErrorRatio: wanted.ErrorRatio, DelayRatio: wanted.DelayRatio, Delay: delay}) {
		writeText(w, http.StatusServiceUnavailable, "starting")
		return
	}
	f.current.Store(&wanted)
	w.WriteHeader(http.StatusNoContent)
}

func (f *faults) delete(w http.ResponseWriter, _ *http.Request) {
	f.current.Store(nil)
	f.set(nil)
	w.WriteHeader(http.StatusNoContent)
}
