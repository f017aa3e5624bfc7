package platform

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/cluster"
	"gitlab.com/slipway-ci/slipway/platform/internal/ingress"
	"gitlab.com/slipway-ci/slipway/platform/internal/netns"
)

// A PartStatus is the status of one part.
type PartStatus struct {
	Part string `json:"part"`
	// PID is zero for a part that does not run, or is the user's own.
	PID     int    `json:"pid,omitempty"`
	Address string `json:"address,omitempty"`
	Healthy bool   `json:"healthy"`
	// Why is the reason why a part is not healthy.
	Why string `json:"why,omitempty"`
	// Since is the time of its start.
	Since *time.Time `json:"since,omitempty"`
	Log   string     `json:"log,omitempty"`
}

// Status returns the status of every part that this platform should have.
func (p *Platform) Status(ctx context.Context) []PartStatus {
	var all []PartStatus
	if p.Config.Registry == "" {
		all = append(all, p.part(ctx, "registry", p.Config.ownRegistry(), answers("http://"+p.Config.ownRegistry()+"/v2/")))
	} else {
		all = append(all, PartStatus{Part: "registry", Address: p.Config.Registry + " (yours)", Healthy: true})
	}
	if p.Config.Kubeconfig != "" {
		s := PartStatus{Part: "kubernetes", Address: p.Config.Kubeconfig + " (yours)", Healthy: true}
		if err := p.checkCluster(ctx); err != nil {
			s.Healthy, s.Why = false, err.Error()
		}
		return append(all, s)
	}
	c := p.cluster()
	type probed struct {
		name, address string
		probe         func(context.Context) error
	}
	parts := []probed{
		{"postgres", loopback(p.Config.Ports.Postgres), p.pingPostgres},
		{"gateway", loopback(p.Config.Ports.API), listens(p.Config.Ports.API)},
		{"ingress", loopback(p.Config.Ports.Ingress), answers("http://" + loopback(p.Config.Ports.Ingress) + ingress.ReadyPath)},
	}
	parts = append(parts, probed{"network-policy", "", c.Probe("http://" + cluster.PolicyAddress)})
	for _, name := range cluster.Parts() {
		probe := map[string]func(context.Context) error{"kube-apiserver": c.APIReady, "kubelet": c.Ready}[name]
		parts = append(parts, probed{name, "", probe})
	}
	namespace := PartStatus{Part: "network namespace", Address: cluster.NodeAddress, Healthy: netns.Exists(c.NetNS())}
	if !namespace.Healthy {
		namespace.Why = "not there"
	}
	all = append(all, namespace)
	probes := make([]PartStatus, len(parts))
	var wait sync.WaitGroup
	for i, part := range parts {
		wait.Go(func() { probes[i] = p.part(ctx, part.name, part.address, part.probe) })
	}
	wait.Wait()
	return append(append(all, probes...), p.optionalStatus(ctx)...)
}

func (p *Platform) part(ctx context.Context, name, address string, probe func(context.Context) error) PartStatus {
	s := PartStatus{Part: name, Address: address, Log: p.table.LogPath(name)}
	r, ok := p.table.Lookup(name)
	if !ok {
		s.Why = "not started"
		return s
	}
	if !r.Alive() {
		s.Why = fmt.Sprintf("process %d is gone", r.PID)
		return s
	}
	s.PID, s.Since = r.PID, &r.Started
	if probe != nil {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if err := probe(ctx); err != nil {
			s.Why = err.Error()
			return s
		}
	}
	s.Healthy = true
	return s
}

func (p *Platform) pingPostgres(ctx context.Context) error {
	server, err := p.postgres()
	if err != nil {
		return err
	}
	return server.Ping(ctx)
}

// LogPath returns the path of a part's log.
func (p *Platform) LogPath(part string) string { return p.table.LogPath(part) }

// Logs returns the names of the parts with a log.
func (p *Platform) Logs() []string {
	paths, _ := filepath.Glob(p.table.LogPath("*"))
	var names []string
	for _, path := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(path), ".log"))
	}
	return names
}
