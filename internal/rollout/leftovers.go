package rollout

import (
	"bytes"
	"context"
	"fmt"

	"go.yaml.in/yaml/v4"
)

// kept are the kinds that stay when a version does not have them any more: what they hold would be lost, or old ReplicaSets name them.
var kept = []string{"PersistentVolume", "PersistentVolumeClaim", "Namespace", "CustomResourceDefinition", "Secret", "ConfigMap"}

// removeLeftovers deletes the objects of releases before that the present one does not have, such as the autoscaler of a component that
// was taken out of the overlay: kubectl apply leaves them, and they would go on working.
func (s *Service) removeLeftovers(ctx context.Context, before []Release, present manifests) error {
	var all [][]byte
	for _, r := range before {
		text, err := leftovers(r.manifests.text, present.text, s.Namespace)
		if err != nil {
			return err
		}
		if len(text) > 0 {
			all = append(all, text)
		}
	}
	if len(all) == 0 {
		return nil
	}
	text := bytes.Join(all, []byte("---\n"))
	fmt.Fprintln(s.Out, "Deleting what this version does not have any more")
	if err := s.kubectl(ctx, text, s.Out, "delete", "--ignore-not-found", "--filename", "-"); err != nil {
		if ctx.Err() != nil {
			return err
		}
		// The version serves: that is no reason to go back.
		fmt.Fprintf(s.Out, "Not all of it was deleted (%v): delete the rest by hand.\n", err)
	}
	return nil
}

// leftovers returns the objects of before that present does not have, by group, kind, namespace and name. Objects that name no namespace are
// those of the given one, where kubectl applies them: the same object may have been written either way.
func leftovers(before, present []byte, namespace string) ([]byte, error) {
	have := map[string]bool{}
	err := each(present, func(o object, _ *yaml.Node) error {
		have[o.identity(namespace)] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, kind := range kept {
		have[kind] = true
	}
	return filter(before, func(o object) bool { return o.Kind != "" && !have[o.Kind] && !have[o.identity(namespace)] })
}
