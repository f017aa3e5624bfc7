package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// watch looks at a version that was rolled out until Soak is over: it must go on answering, none of its containers may be restarted, and
// at the end all of its pods must be available.
func (s *Service) watch(ctx context.Context, r Release) error {
	if s.Soak <= 0 {
		return nil
	}
	fmt.Fprintf(s.Out, "Watching it for %s\n", s.Soak)
	seen, err := s.restarts(ctx, r.manifests)
	if err != nil {
		return err
	}
	checks := 0
	for deadline := time.Now().Add(s.Soak); time.Now().Before(deadline); checks++ {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(look):
		}
		if err := s.answers(ctx, r.Commit); err != nil {
			return fmt.Errorf("it served, and does so no more: %w", err)
		}
		now, err := s.restarts(ctx, r.manifests)
		if err != nil {
			return err
		}
		if pod := restarted(seen, now); pod != "" {
			return fmt.Errorf("it served, and then a container of the pod %s was restarted", pod)
		}
	}
	if err := s.follow(ctx, r.manifests, nil, s.Timeout, false); err != nil {
		return fmt.Errorf("it served, and does so no more: %w", err)
	}
	fmt.Fprintf(s.Out, "Watched for %s: %d answers of the Service name commit %s, no container was restarted\n", s.Soak, checks, r.Commit)
	return nil
}

// restarts returns how often the containers of each pod were restarted.
func (s *Service) restarts(ctx context.Context, m manifests) (map[string]int, error) {
	out, err := s.read(ctx, "get", "pods", "--selector", m.selector, "--output", "json")
	if err != nil {
		return nil, err
	}
	return podRestarts(out)
}

// podRestarts reads a list of pods.
func podRestarts(list []byte) (map[string]int, error) {
	var pods struct {
		Items []struct {
			Metadata meta
			Status   struct {
				ContainerStatuses []struct{ RestartCount int }
			}
		}
	}
	if err := json.Unmarshal(list, &pods); err != nil {
		return nil, fmt.Errorf("the pods: %w", err)
	}
	restarts := map[string]int{}
	for _, p := range pods.Items {
		for _, c := range p.Status.ContainerStatuses {
			restarts[p.Metadata.Name] += c.RestartCount
		}
	}
	return restarts, nil
}

// restarted returns a pod whose containers were restarted since; empty if there is none. A pod that was not there before counts from its start.
func restarted(before, now map[string]int) string {
	for pod, n := range now {
		if n > before[pod] {
			return pod
		}
	}
	return ""
}
