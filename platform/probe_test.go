package platform

import (
	"net"
	"os"
	"testing"
)

func listenLoopback() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

func splitPort(t *testing.T, l net.Listener) (string, int) {
	t.Helper()
	a := l.Addr().(*net.TCPAddr)
	return a.IP.String(), a.Port
}

func TestListener(t *testing.T) {
	t.Parallel()
	l, err := listenLoopback()
	if err != nil {
		t.Fatal(err)
	}
	_, port := splitPort(t, l)
	if got := listener(port); got != os.Getpid() {
		t.Errorf("listener(%d) = %d, want %d", port, got, os.Getpid())
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := listener(port); got != 0 {
		t.Errorf("after the end listener(%d) = %d, want 0", port, got)
	}
}
