package ingress

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

// A Table routes requests. Readers use a complete snapshot and never wait.
type Table struct {
	// Class is the ingressClassName that is served.
	Class string

	ingresses kube.Mirror[ingress]
	services  kube.Mirror[service]
	slices    kube.Mirror[endpointSlice]

	mu      sync.Mutex // one build at a time
	current atomic.Pointer[snapshot]
}

// A route is one path of one host.
type route struct {
	host     string
	path     path
	service  string // namespace/name
	backends []string
	// next is the turn of the round robin.
	next *atomic.Uint64
}

type snapshot struct {
	routes []*route
	hosts  []string
	// addresses are all endpoints that some route leads to.
	addresses map[string]bool
}

// NewTable returns an empty table.
func NewTable(class string) *Table {
	t := &Table{Class: class}
	t.ingresses.Path = "/apis/networking.k8s.io/v1/ingresses"
	t.services.Path = "/api/v1/services"
	t.slices.Path = "/apis/discovery.k8s.io/v1/endpointslices"
	t.current.Store(&snapshot{})
	return t
}

// Follow updates the table from the cluster until ctx ends. After every change it calls changed with the addresses in use.
func (t *Table) Follow(ctx context.Context, client *kube.Client, changed func(addresses map[string]bool)) {
	refresh := func() { changed(t.refresh().addresses) }
	var wait sync.WaitGroup
	wait.Go(func() { t.ingresses.Follow(ctx, client, refresh) })
	wait.Go(func() { t.services.Follow(ctx, client, refresh) })
	wait.Go(func() { t.slices.Follow(ctx, client, refresh) })
	wait.Wait()
}

// Complete reports whether the cluster's objects are known.
func (t *Table) Complete() bool {
	return t.ingresses.Listed() && t.services.Listed() && t.slices.Listed()
}

// refresh publishes a new snapshot.
func (t *Table) refresh() *snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.build()
	t.current.Store(s)
	return s
}

// Objects are what the backends of one snapshot are found in.
type objects struct {
	services map[string]service
	slices   map[string]endpointSlice
}

func (t *Table) build() *snapshot {
	o := objects{t.services.Objects(), t.slices.Objects()}
	ingresses := t.ingresses.Objects()
	s := &snapshot{addresses: map[string]bool{}}
	turns := map[string]*atomic.Uint64{} // the round robin continues
	for _, r := range t.current.Load().routes {
		turns[r.service] = r.next
	}
	hosts := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(ingresses)) {
		i := ingresses[key]
		if i.Spec.IngressClassName == nil || *i.Spec.IngressClassName != t.Class {
			continue
		}
		rules := i.Spec.Rules
		for _, r := range rules {
			hosts[r.Host] = true
			if r.HTTP == nil {
				continue
			}
			for _, p := range r.HTTP.Paths {
				s.add(o.route(i.Metadata.Namespace, r.Host, p, turns))
			}
		}
		if i.Spec.DefaultBackend != nil {
			s.add(o.route(i.Metadata.Namespace, "", path{Path: "/", PathType: "Prefix", Backend: *i.Spec.DefaultBackend}, turns))
		}
	}
	// The most specific first: exact hosts before wildcards before any host, exact paths before the longest prefix.
	slices.SortStableFunc(s.routes, func(a, b *route) int {
		return cmp.Or(cmp.Compare(rank(a.host), rank(b.host)), cmp.Compare(kind(a.path), kind(b.path)),
			cmp.Compare(len(b.path.Path), len(a.path.Path)))
	})
	s.hosts = slices.Sorted(maps.Keys(hosts))
	return s
}

func rank(host string) int {
	switch {
	case host == "":
		return 2
	case strings.HasPrefix(host, "*"):
		return 1
	}
	return 0
}

func kind(p path) int {
	if p.PathType == "Exact" {
		return 0
	}
	return 1
}

func (s *snapshot) add(r *route) {
	if r == nil {
		return
	}
	s.routes = append(s.routes, r)
	for _, a := range r.backends {
		s.addresses[a] = true
	}
}

// route resolves a path's backend to the addresses of its ready endpoints; nil for a backend that is not a Service.
func (o objects) route(namespace, host string, p path, turns map[string]*atomic.Uint64) *route {
	if p.Backend.Service == nil {
		return nil
	}
	key := namespace + "/" + p.Backend.Service.Name
	r := &route{host: host, path: p, service: key, next: turns[key]}
	if r.next == nil {
		r.next = new(atomic.Uint64)
		turns[key] = r.next
	}
	// EndpointSlices know a port by the name that it has in the Service, not by its number there.
	want, found := "", false
	for _, port := range o.services[key].Spec.Ports {
		if b := p.Backend.Service.Port; port.Port == b.Number || b.Name != "" && port.Name == b.Name {
			want, found = port.Name, true
		}
	}
	if !found {
		return r
	}
	addresses := map[string]bool{}
	for _, slice := range o.slices {
		if slice.Metadata.Namespace != namespace || slice.Metadata.Labels[serviceLabel] != p.Backend.Service.Name {
			continue
		}
		for _, port := range slice.Ports {
			if port.Name != want {
				continue
			}
			for _, e := range slice.Endpoints {
				if (e.Conditions.Ready == nil || *e.Conditions.Ready) && len(e.Addresses) > 0 {
					addresses[net.JoinHostPort(e.Addresses[0], strconv.Itoa(port.Port))] = true
				}
			}
		}
	}
	r.backends = slices.Sorted(maps.Keys(addresses))
	return r
}

// lookup returns the route of a request; nil if no rule matches. The host has no port.
func (s *snapshot) lookup(host, requestPath string) *route {
	for _, r := range s.routes {
		if hostMatches(r.host, host) && r.path.matches(requestPath) {
			return r
		}
	}
	return nil
}

// order returns the backends, first the next one of the round robin, then the others for retries.
func (r *route) order() []string {
	n := len(r.backends)
	if n == 0 {
		return nil
	}
	first := int(r.next.Add(1) % uint64(n))
	return append(slices.Clone(r.backends[first:]), r.backends[:first]...)
}
