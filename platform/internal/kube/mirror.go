package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"
)

// Meta is the metadata that every object has.
type Meta struct {
	Namespace string            `json:"namespace"`
	Name      string            `json:"name"`
	Labels    map[string]string `json:"labels"`
}

// A Mirror is a copy of all objects of one kind in the cluster.
type Mirror[T any] struct {
	// Path is that of the list, such as /api/v1/pods.
	Path string

	mu      sync.RWMutex
	objects map[string]T
	listed  bool
}

// Objects returns the objects by "namespace/name".
func (m *Mirror[T]) Objects() map[string]T {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return maps.Clone(m.objects)
}

// Listed reports whether the mirror has been complete at least once.
func (m *Mirror[T]) Listed() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.listed
}

// Follow updates the mirror from the cluster until ctx ends, and calls changed after every change. While the API server
// does not respond, the mirror does not change: pods run without it.
func (m *Mirror[T]) Follow(ctx context.Context, client *Client, changed func()) {
	for ctx.Err() == nil {
		if err := m.follow(ctx, client, changed); err != nil && ctx.Err() == nil {
			fmt.Fprintf(os.Stderr, "follow %s: %v\n", m.Path, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (m *Mirror[T]) follow(ctx context.Context, client *Client, changed func()) error {
	var list struct {
		Metadata struct{ ResourceVersion string }
		Items    []json.RawMessage
	}
	if err := client.Get(ctx, m.Path, &list); err != nil {
		return err
	}
	if err := m.replace(list.Items); err != nil {
		return err
	}
	changed()
	return client.Watch(ctx, m.Path, list.Metadata.ResourceVersion, func(kind string, raw json.RawMessage) error {
		switch kind {
		case "BOOKMARK":
			return nil
		case "DELETED":
			if err := m.remove(raw); err != nil {
				return err
			}
		default:
			if err := m.Put(raw); err != nil {
				return err
			}
		}
		changed()
		return nil
	})
}

// replace replaces all objects atomically: nobody sees a part of a list.
func (m *Mirror[T]) replace(items []json.RawMessage) error {
	var fresh Mirror[T]
	for _, raw := range items {
		if err := fresh.Put(raw); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects, m.listed = fresh.objects, true
	return nil
}

// Put stores one object in the API server's JSON.
func (m *Mirror[T]) Put(raw []byte) error {
	key, err := objectKey(raw)
	if err != nil {
		return err
	}
	var object T
	if err := json.Unmarshal(raw, &object); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.objects == nil {
		m.objects = map[string]T{}
	}
	m.objects[key] = object
	return nil
}

func (m *Mirror[T]) remove(raw []byte) error {
	key, err := objectKey(raw)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

func objectKey(raw []byte) (string, error) {
	var o struct{ Metadata Meta }
	err := json.Unmarshal(raw, &o)
	return o.Metadata.Namespace + "/" + o.Metadata.Name, err
}
