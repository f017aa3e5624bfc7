// Package gateway connects the cluster's network namespace and the host's loopback, one TCP address at a time. It is the
// only connection between the two: there is no route, no veth pair and no firewall rule on the host.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/netns"
)

// A Forward accepts at Listen on one side and dials Dial on the other.
type Forward struct {
	Listen, Dial string
	// Out is set if Listen is inside of the namespace and Dial outside.
	Out bool
}

// Parse reads "LISTEN=DIAL".
func Parse(text string, out bool) (Forward, error) {
	listen, dial, ok := strings.Cut(text, "=")
	if !ok {
		return Forward{}, fmt.Errorf("forward %q: want LISTEN=DIAL, such as 127.0.0.1:6443=10.99.0.1:6443", text)
	}
	for _, a := range []string{listen, dial} {
		host, _, err := net.SplitHostPort(a)
		if err != nil || net.ParseIP(host) == nil {
			return Forward{}, fmt.Errorf("forward %q: %q is not an address and a port", text, a)
		}
	}
	return Forward{Listen: listen, Dial: dial, Out: out}, nil
}

// Serve forwards until ctx ends. It fails immediately if it cannot listen on one of the addresses. If proxy is not empty, it
// is the address inside of the namespace of an HTTP proxy to the outside.
func Serve(ctx context.Context, ns string, forwards []Forward, proxy string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inside := netns.Dialer(ns)
	outside := (&net.Dialer{}).DialContext
	var wait sync.WaitGroup
	defer wait.Wait()
	for _, f := range forwards {
		var l net.Listener
		var err error
		dial := outside
		if f.Out {
			l, err = netns.Listen(ctx, ns, f.Listen)
		} else {
			l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", f.Listen)
			dial = inside
		}
		if err != nil {
			cancel()
			return fmt.Errorf("gateway: %w", err)
		}
		context.AfterFunc(ctx, func() { _ = l.Close() })
		wait.Go(func() { accept(ctx, l, f.Dial, dial) })
	}
	if proxy != "" {
		l, err := netns.Listen(ctx, ns, proxy)
		if err != nil {
			cancel()
			return fmt.Errorf("gateway: %w", err)
		}
		wait.Go(func() { serveProxy(ctx, l) })
	}
	<-ctx.Done()
	return nil
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func accept(ctx context.Context, l net.Listener, address string, dial dialFunc) {
	for {
		client, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, or the client has disconnected: the listener itself works
			time.Sleep(50 * time.Millisecond)
			continue
		}
		go func() {
			defer client.Close()
			limit, cancel := context.WithTimeout(ctx, 5*time.Second)
			server, err := dial(limit, "tcp", address)
			cancel()
			if err != nil {
				return // the client sees a closed connection, as if it had dialled itself
			}
			defer server.Close()
			stop := context.AfterFunc(ctx, func() { _ = client.Close(); _ = server.Close() })
			defer stop()
			join(client, server)
		}()
	}
}

// join copies both ways and passes on half-closed connections: a port-forward may send its last byte long before it
// receives that of the response.
func join(a, b net.Conn) {
	var wait sync.WaitGroup
	pipe := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		if half, ok := to.(*net.TCPConn); ok && err == nil {
			_ = half.CloseWrite()
			return
		}
		_, _ = to.Close(), from.Close()
	}
	wait.Go(func() { pipe(a, b) })
	wait.Go(func() { pipe(b, a) })
	wait.Wait()
}
