package registry

import (
	"strings"
	"testing"
)

func TestServeOnlyOnLoopback(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"0.0.0.0:0", ":0", "10.0.0.1:0"} {
		if err := Serve(t.Context(), address, t.TempDir()); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", address, err)
		}
	}
}
