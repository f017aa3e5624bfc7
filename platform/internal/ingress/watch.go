package ingress

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
)

// A resource is a kind of object that is followed, and how one is noted in the table.
type resource struct {
	path string
	// set decodes an object and notes it under its key; forget removes it; reset removes all.
	decode func(json.RawMessage) (meta, any, error)
	put    func(t *Table, key string, object any)
	remove func(t *Table, key string)
	reset  func(t *Table)
}

func decode[T any](metadata func(T) meta) func(json.RawMessage) (meta, any, error) {
	return func(raw json.RawMessage) (meta, any, error) {
		var o T
		err := json.Unmarshal(raw, &o)
		return metadata(o), o, err
	}
}

func resources() []resource {
	return []resource{
		{
			path:   "/apis/networking.k8s.io/v1/ingresses",
			decode: decode(func(i ingress) meta { return i.Metadata }),
			put:    func(t *Table, key string, o any) { t.ingresses[key] = o.(ingress) },
			remove: func(t *Table, key string) { delete(t.ingresses, key) },
			reset:  func(t *Table) { clear(t.ingresses) },
		},
		{
			path:   "/api/v1/services",
			decode: decode(func(s service) meta { return s.Metadata }),
			put:    func(t *Table, key string, o any) { t.services[key] = o.(service) },
			remove: func(t *Table, key string) { delete(t.services, key) },
			reset:  func(t *Table) { clear(t.services) },
		},
		{
			path:   "/apis/discovery.k8s.io/v1/endpointslices",
			decode: decode(func(e endpointSlice) meta { return e.Metadata }),
			put:    func(t *Table, key string, o any) { t.slices[key] = o.(endpointSlice) },
			remove: func(t *Table, key string) { delete(t.slices, key) },
			reset:  func(t *Table) { clear(t.slices) },
		},
	}
}

// Follow keeps the table equal to the cluster until ctx ends. While the API server does not answer, the table stays as it
// was: pods go on without it. After every complete list, listed is called.
func (t *Table) Follow(ctx context.Context, client *kube.Client, changed func(addresses map[string]bool), listed func(path string)) {
	done := make(chan struct{})
	all := resources()
	for _, r := range all {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				if err := t.follow(ctx, client, r, changed, listed); err != nil && ctx.Err() == nil {
					fmt.Fprintf(os.Stderr, "follow %s: %v\n", r.path, err)
				}
				select {
				case <-ctx.Done():
				case <-time.After(200 * time.Millisecond):
				}
			}
		}()
	}
	for range all {
		<-done
	}
}

func (t *Table) follow(ctx context.Context, client *kube.Client, r resource, changed func(map[string]bool), listed func(string)) error {
	var list struct {
		Metadata meta
		Items    []json.RawMessage
	}
	if err := client.Get(ctx, r.path, &list); err != nil {
		return err
	}
	objects := make(map[string]any, len(list.Items))
	for _, raw := range list.Items {
		m, o, err := r.decode(raw)
		if err != nil {
			return err
		}
		objects[m.key()] = o
	}
	changed(t.update(func() {
		r.reset(t)
		for key, o := range objects {
			r.put(t, key, o)
		}
	}).addresses)
	listed(r.path)
	return client.Watch(ctx, r.path, list.Metadata.ResourceVersion, func(kind string, raw json.RawMessage) error {
		if kind == "BOOKMARK" {
			return nil
		}
		m, o, err := r.decode(raw)
		if err != nil {
			return err
		}
		changed(t.update(func() {
			if kind == "DELETED" {
				r.remove(t, m.key())
			} else {
				r.put(t, m.key(), o)
			}
		}).addresses)
		return nil
	})
}
