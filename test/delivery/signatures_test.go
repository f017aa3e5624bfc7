package delivery

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestSignatures is proof 7 for what Kubernetes cannot check by itself: Kyverno, with the policy of k8s/cluster/kyverno, refuses images that are
// unsigned, signed by another key, or without provenance, and pods that break the other rules. The signatures are cosign's, as the stage sign makes them.
func TestSignatures(t *testing.T) {
	f := setup(t)
	ours, theirs := outside.NewSigner(t), outside.NewSigner(t)
	f.enforce(t, ours)

	signed := func(name string, signer outside.Signer) string {
		t.Helper()
		image := f.build(t, name).image()
		signer.Sign(image)
		return image
	}
	attested := func(image string, signer outside.Signer) string {
		t.Helper()
		signer.Attest(image, "slsaprovenance1")
		return image
	}
	good := attested(signed("Signed, with provenance", ours), ours)
	f.crane(t, "tag", "--insecure", good, "latest")
	attempts := []struct{ name, image, user, reason string }{
		{"unsigned", f.build(t, "Unsigned").image(), "65532", "no matching signatures found"},
		{"signed by another key", attested(signed("Signed by another key", theirs), theirs), "65532", "no matching signatures found"},
		{"without provenance", signed("Signed, without provenance", ours), "65532", "attestations verification failed"},
		{"with the provenance of another key", attested(signed("Signed, with another key's provenance", ours), theirs), "65532", "attestations verification failed"},
		{"root", good, "0", "runAsUser"},
		{"latest", f.registry + "/delivery/orders:latest", "65532", "digest"},
		{"a foreign registry", "docker.io/library/orders@sha256:" + strings.Repeat("a", 64), "65532", "known registry"},
	}
	eventually(t, 2*time.Minute, "the policy is in force", func() bool {
		out, _ := attempt(t, "verified", attempts[0].image, "65532")
		_, err := attempt(t, "verified", good, "65532")
		return strings.Contains(out, attempts[0].reason) && err == nil
	})
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			if out, err := attempt(t, "verified", a.image, a.user); err == nil || !strings.Contains(out, a.reason) {
				t.Errorf("%s: %v, want a refusal with %q: %s", a.name, err, a.reason, out)
			}
		})
	}
	figure(t, "7 signatures", "an image that is unsigned, signed by another key, or without provenance refused by Kyverno, each with its reason; one with both accepted")
}

// enforce applies the policy for images of the platform's registry and the public key of a signer, to the namespace verified.
func (f *fixture) enforce(t *testing.T, signer outside.Signer) {
	t.Helper()
	policy := outside.Command(t, f.clone(), "platform", "kubectl", "kustomize", "k8s/cluster/kyverno")
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, file, strings.ReplaceAll(policy, "registry.gitlab.com/", f.registry+"/"))
	outside.Kubectl(t, "--namespace", "kyverno", "create", "secret", "generic", "slipway-signing", "--from-file", filepath.Join(signer.Dir, "cosign.pub"))
	outside.Kubectl(t, "apply", "--filename", file)
	outside.Kubectl(t, "create", "namespace", "verified")
	outside.Kubectl(t, "label", "namespace", "verified", "slipway.dev/admission=enforce")
	t.Cleanup(func() {
		outside.Kubectl(t, "delete", "namespace", "verified", "--wait=false")
		outside.Kubectl(t, "delete", "--filename", file)
		outside.Kubectl(t, "--namespace", "kyverno", "delete", "secret", "slipway-signing")
	})
}
