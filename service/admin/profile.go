package admin

import (
	"fmt"
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"
)

// maxProfile bounds how long a CPU profile may take.
const maxProfile = time.Minute

// profiles lists the profiles that the runtime keeps. `go tool pprof` reads this and the other two as it reads those of
// net/http/pprof, which would register itself with the default mux.
func profiles(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, p := range pprof.Profiles() {
		_, _ = fmt.Fprintf(w, "%s\t%d\n", p.Name(), p.Count())
	}
	_, _ = fmt.Fprintln(w, "profile?seconds=10")
}

func profile(w http.ResponseWriter, r *http.Request) {
	p := pprof.Lookup(r.PathValue("name"))
	if p == nil {
		say(w, http.StatusNotFound, "there is no such profile")
		return
	}
	debug, _ := strconv.Atoi(r.FormValue("debug")) // 0, the binary form, unless asked otherwise
	w.Header().Set("Content-Type", "application/octet-stream")
	if debug > 0 {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	}
	_ = p.WriteTo(w, debug) // the client has gone: nobody to tell
}

func cpuProfile(w http.ResponseWriter, r *http.Request) {
	seconds := 30 * time.Second
	if text := r.FormValue("seconds"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || time.Duration(n)*time.Second > maxProfile {
			say(w, http.StatusBadRequest, "seconds must be between 1 and 60")
			return
		}
		seconds = time.Duration(n) * time.Second
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	if err := pprof.StartCPUProfile(w); err != nil {
		say(w, http.StatusConflict, err.Error())
		return
	}
	defer pprof.StopCPUProfile()
	timer := time.NewTimer(seconds)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}
