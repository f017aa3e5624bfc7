package policy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

// Serve updates the nftables of its network namespace from the cluster's policies until ctx ends. The
// address responds with 200 once they are applied. After Serve has ended, the last rules stay in effect.
func Serve(ctx context.Context, address string, client *kube.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("network policy: %w", err)
	}
	var inForce atomic.Bool
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !inForce.Load() {
			http.Error(w, "the policies are not in force yet", http.StatusServiceUnavailable)
		}
	})}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()

	policies := kube.Mirror[networkPolicy]{Path: "/apis/networking.k8s.io/v1/networkpolicies"}
	pods := kube.Mirror[pod]{Path: "/api/v1/pods"}
	namespaces := kube.Mirror[namespace]{Path: "/api/v1/namespaces"}
	dirty := make(chan struct{}, 1)
	changed := func() {
		select {
		case dirty <- struct{}{}:
		default: // one pending notification is enough
		}
	}
	var wait sync.WaitGroup
	defer wait.Wait()
	wait.Go(func() { policies.Follow(ctx, client, changed) })
	wait.Go(func() { pods.Follow(ctx, client, changed) })
	wait.Go(func() { namespaces.Follow(ctx, client, changed) })
	wait.Go(func() {
		last := ""
		for {
			select {
			case <-ctx.Done():
				return
			case <-dirty:
			}
			if !policies.Listed() || !pods.Listed() || !namespaces.Listed() {
				continue
			}
			script := world{policies.Objects(), pods.Objects(), namespaces.Objects()}.script()
			if script == last {
				continue
			}
			if err := load(ctx, script); err != nil {
				fmt.Fprintln(os.Stderr, "network policy:", err)
				time.AfterFunc(time.Second, changed)
				continue
			}
			last = script
			inForce.Store(true)
		}
	})
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		cancel()
		return fmt.Errorf("network policy: %w", err)
	}
	return nil
}

// load runs a script with nft, which applies all of it or nothing.
func load(ctx context.Context, script string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s\n%s", err, strings.TrimSpace(string(out)), script)
	}
	return nil
}
