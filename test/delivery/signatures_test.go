package delivery

import (
	"os"
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
	outside.Program(t, "cosign", "COSIGN", "make e2e-delivery compiles it")
	t.Setenv("COSIGN_PASSWORD", "secret")
	t.Setenv("COSIGN_YES", "true")
	ours, theirs := f.keys(t), f.keys(t)
	f.enforce(t, ours)

	build := func(name string, sign ...string) string {
		t.Helper()
		image := f.build(t, name).image()
		for _, args := range sign {
			f.cosign(t, strings.Fields(args+" --allow-insecure-registry "+image)...)
		}
		return image
	}
	with := func(keys string) (signature, provenance string) {
		flags := " --key " + filepath.Join(keys, "cosign.key") + " --signing-config " + filepath.Join(keys, "config.json")
		return "sign" + flags, "attest" + flags + " --type slsaprovenance1 --predicate " + filepath.Join(keys, "provenance.json")
	}
	signature, provenance := with(ours)
	foreign, claimed := with(theirs)
	good := build("Signed, with provenance", signature, provenance)
	f.crane(t, "tag", "--insecure", good, "latest")
	attempts := []struct{ name, image, user, reason string }{
		{"unsigned", build("Unsigned"), "65532", "no matching signatures found"},
		{"signed by another key", build("Signed by another key", foreign, claimed), "65532", "no matching signatures found"},
		{"without provenance", build("Signed, without provenance", signature), "65532", "attestations verification failed"},
		{"with the provenance of another key", build("Signed, with another key's provenance", signature, claimed), "65532", "attestations verification failed"},
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

// keys creates a pair of keys, and what signing with it needs, in a folder.
func (f *fixture) keys(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	f.cosign(t, "generate-key-pair", "--output-key-prefix", filepath.Join(dir, "cosign"))
	f.cosign(t, "signing-config", "create", "--out", filepath.Join(dir, "config.json"))
	write(t, filepath.Join(dir, "provenance.json"), `{"buildDefinition": {"buildType": "https://example.com/build/v1", "externalParameters": {}}, "runDetails": {"builder": {"id": "https://example.com"}}}`)
	return dir
}

func (f *fixture) cosign(t *testing.T, args ...string) {
	t.Helper()
	outside.Command(t, f.clone(), "cosign", args...)
}

// enforce applies the policy for images of the platform's registry and a public key, to the namespace verified.
func (f *fixture) enforce(t *testing.T, keys string) {
	t.Helper()
	policy := outside.Command(t, f.clone(), "platform", "kubectl", "kustomize", "k8s/cluster/kyverno")
	file := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, file, strings.ReplaceAll(policy, "registry.gitlab.com/", f.registry+"/"))
	public := filepath.Join(keys, "cosign.pub")
	if _, err := os.Stat(public); err != nil {
		t.Fatal(err)
	}
	outside.Kubectl(t, "--namespace", "kyverno", "create", "secret", "generic", "slipway-signing", "--from-file", public)
	outside.Kubectl(t, "apply", "--filename", file)
	outside.Kubectl(t, "create", "namespace", "verified")
	outside.Kubectl(t, "label", "namespace", "verified", "slipway.dev/admission=enforce")
	t.Cleanup(func() {
		outside.Kubectl(t, "delete", "namespace", "verified", "--wait=false")
		outside.Kubectl(t, "delete", "--filename", file)
		outside.Kubectl(t, "--namespace", "kyverno", "delete", "secret", "slipway-signing")
	})
}
