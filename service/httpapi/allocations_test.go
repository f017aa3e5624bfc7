package httpapi_test

import (
	"net/http"
	"testing"
)

// maxAllocations guards what a request may allocate in the whole handler, JSON included. Raise it only for a reason that
// is worth a slower service.
const maxAllocations = 28

func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates, too")
	}
	s, r := newBenchServer(t)
	w := &discard{http.Header{}}
	got := testing.AllocsPerRun(1000, func() { s.ServeHTTP(w, r) })
	if got > maxAllocations {
		t.Errorf("%v allocations for a request, want at most %d", got, maxAllocations)
	}
}
