package ingress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

// ReadyPath responds with 200 at the listening address itself once the cluster's objects are known.
const ReadyPath = "/.well-known/slipway-ingress/ready"

// Serve listens until ctx ends, then lets requests finish for up to 10 seconds.
func Serve(ctx context.Context, address, class string, client *kube.Client, dial Dial) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("ingress: %w", err)
	}
	table := NewTable(class)
	proxy := NewProxy(table, dial)
	var wait sync.WaitGroup
	defer wait.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wait.Go(func() { table.Follow(ctx, client, proxy.Keep) })
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Host == address && r.URL.Path == ReadyPath {
				if !table.Complete() {
					http.Error(w, "the cluster's objects are not known yet", http.StatusServiceUnavailable)
				}
				return
			}
			proxy.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: 10 * time.Second,
	}
	stopped := make(chan error, 1)
	wait.Go(func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		stopped <- server.Shutdown(grace)
	})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("ingress: %w", err)
	}
	return <-stopped
}
