// Package targets tells Prometheus which pods to scrape, by its HTTP service discovery. Debian's Prometheus is built without the one
// for Kubernetes.
package targets

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

// The annotations that request scraping, and the label that distinguishes a canary's pods from the others.
const (
	scrapeAnnotation = "prometheus.io/scrape"
	portAnnotation   = "prometheus.io/port"
	trackLabel       = "slipway.dev/track"
	nameLabel        = "app.kubernetes.io/name"
)

type pod struct {
	Metadata struct {
		kube.Meta
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Status struct {
		Phase string `json:"phase"`
		PodIP string `json:"podIP"`
	} `json:"status"`
}

// A group is one entry of Prometheus' HTTP service discovery.
type group struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

// Serve serves the running pods that request scraping at the address, until ctx ends.
func Serve(ctx context.Context, address string, client *kube.Client) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("targets: %w", err)
	}
	pods := kube.Mirror[pod]{Path: "/api/v1/pods"}
	go pods.Follow(ctx, client, func() {})
	server := &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !pods.Listed() {
			http.Error(w, "the pods are not known yet", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(groups(pods.Objects()))
	})}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("targets: %w", err)
	}
	return nil
}

// groups returns the pods with the labels that the PodMonitor of k8s/components/monitoring sets.
func groups(pods map[string]pod) []group {
	all := []group{}
	for _, key := range slices.Sorted(maps.Keys(pods)) {
		p := pods[key]
		a := p.Metadata.Annotations
		if a[scrapeAnnotation] != "true" || p.Status.Phase != "Running" || p.Status.PodIP == "" {
			continue
		}
		all = append(all, group{[]string{net.JoinHostPort(p.Status.PodIP, a[portAnnotation])}, map[string]string{
			"job": p.Metadata.Labels[nameLabel], "namespace": p.Metadata.Namespace, "pod": p.Metadata.Name, "track": p.Metadata.Labels[trackLabel]}})
	}
	return all
}
