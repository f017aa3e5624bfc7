package rollout

import (
	"context"
	"fmt"
	"slices"
)

// Remove deletes the objects of every release on record, the record, and the lock. Secrets are not on record; those with the label of
// the instance go, too, unless the account has nothing to do with Secrets.
func (s *Service) Remove(ctx context.Context) error {
	err := s.locked(ctx, func(ctx context.Context) error {
		releases, err := s.releases(ctx)
		if err != nil {
			return err
		}
		// An object that only an older release has is still there.
		for _, r := range slices.Backward(releases) {
			own, err := r.manifests.own()
			if err != nil {
				return err
			}
			if err := s.kubectl(ctx, own, s.Out, "delete", "--ignore-not-found", "--filename", "-"); err != nil {
				return err
			}
		}
		if err := s.run(ctx, "delete", "secrets", "--selector", instanceLabel+"="+s.Name, "--ignore-not-found"); err != nil && !says(err, "Forbidden", "forbidden") {
			return err
		}
		for _, r := range releases {
			if err := s.run(ctx, "delete", "configmap/"+s.recordName(r.Number), "--ignore-not-found"); err != nil {
				return err
			}
		}
		if len(releases) == 0 {
			fmt.Fprintf(s.Out, "%s has no release of %s on record.\n", s.Namespace, s.Name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.run(ctx, "delete", "leases.coordination.k8s.io/"+s.leaseName(), "--ignore-not-found")
}

// own are the objects that belong to the deployment alone: others have something in its namespace, and objects of its kinds.
func (m manifests) own() ([]byte, error) {
	return filter(m.text, func(o object) bool {
		return o.Kind != "" && o.Kind != "Namespace" && o.Kind != "CustomResourceDefinition"
	})
}
