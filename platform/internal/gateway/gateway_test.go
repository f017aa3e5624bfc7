package gateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"127.0.0.1:1=10.0.0.1:2": true,
		"[::1]:1=10.0.0.1:2":     true,
		"127.0.0.1:1":            false,
		"localhost:1=10.0.0.1:2": false,
		"127.0.0.1=10.0.0.1:2":   false,
	} {
		t.Run(text, func(t *testing.T) {
			if _, err := Parse(text, false); (err == nil) != ok {
				t.Errorf("%s: %v", text, err)
			}
		})
	}
}

// answering echoes all that it gets once the other side has said everything: it needs half-closed connections.
func answering(t *testing.T) net.Listener {
	t.Helper()
	l := listen(t)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				b, _ := io.ReadAll(conn)
				fmt.Fprintf(conn, "%d bytes", len(b))
				conn.Close()
			}()
		}
	}()
	return l
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestForwardPassesOnHalfClosedConnections(t *testing.T) {
	t.Parallel()
	server, l := answering(t), listen(t)
	go accept(t.Context(), l, server.Addr().String(), (&net.Dialer{}).DialContext)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(make([]byte, 100_000)); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(conn); err != nil || string(b) != "100000 bytes" {
		t.Errorf("%q %v", b, err)
	}
}

func TestForwardEndsWithItsContext(t *testing.T) {
	t.Parallel()
	server, l := answering(t), listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	go accept(ctx, l, server.Addr().String(), (&net.Dialer{}).DialContext)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open") // closed or reset: either is an end
	}
}

func TestProxyConnects(t *testing.T) {
	t.Parallel()
	server, l := answering(t), listen(t)
	go serveProxy(t.Context(), l)
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\n", server.Addr())
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", resp, err)
	}
	defer resp.Body.Close()
	fmt.Fprint(conn, "hello")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || string(b) != "5 bytes" {
		t.Errorf("%q %v", b, err)
	}
	get, err := http.Get("http://" + l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer get.Body.Close()
	if get.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", get.Status)
	}
}
