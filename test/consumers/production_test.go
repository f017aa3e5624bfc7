package consumers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// standInKubectl answers what the production job asks before it decides, and ends there: who gets that far was let through.
const standInKubectl = `#!/bin/sh
# STAND-IN for kubectl and its cluster.
case "$1" in
version) ;;
kustomize) printf 'apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: service\n  namespace: shop\n' ;;
*) echo "let through to the cluster" >&2; exit 1 ;;
esac
`

// letThrough is what the production job says that has been let through to the cluster.
const letThrough = "let through to the cluster"

// exitOf is the job's exit code: 1 if it was refused, slipway's 2 if it was let through.
func exitOf(says string) int {
	if says == letThrough {
		return 2
	}
	return 1
}

// productionJob is a project whose production job can be run alone, for the digest that staging's artifact names.
func productionJob(t *testing.T, inputs, repository, stagingDigest, digest string) *project {
	t.Helper()
	p := clone(t, "service")
	p.path = t.TempDir()
	outside.WriteProgram(t, filepath.Join(p.path, "kubectl"), standInKubectl)
	p.write(".gitlab-ci.yml", with("deploy", "app: service, needs: [], review_needs: []"+inputs))
	// What staging's job passes on as an artifact.
	p.write("deployed.env", "IMAGE_REPOSITORY="+repository+"\nIMAGE_DIGEST="+stagingDigest+"\n")
	p.commit("Ask for production")
	p.alone = true
	p.variables = []pipeline.Variable{{Key: "IMAGE_REPOSITORY", Value: repository}, {Key: "IMAGE_DIGEST", Value: digest}}
	return p
}

// TestProductionTakesStagingsDigest starts production with another digest than the one that staging ran.
func TestProductionTakesStagingsDigest(t *testing.T) {
	t.Parallel()
	ran, other := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	productionJob(t, "", "x", ran, other).run(nil, "deploy-production").red("deploy-production", 1, "Staging of this pipeline did not run "+other+"; nothing has been touched")
	// A digest that staging's begins with is another one, too.
	productionJob(t, "", "x", ran+"c", ran).run(nil, "deploy-production").red("deploy-production", 1, "Staging of this pipeline did not run")
	productionJob(t, "", "x", ran, ran).run(nil, "deploy-production").red("deploy-production", exitOf(letThrough), letThrough)
}

// TestProductionVerifies deploys an image that is not signed, signed by someone else, signed without provenance, and signed as the
// sign stage does it.
func TestProductionVerifies(t *testing.T) {
	t.Parallel()
	outside.Program(t, "cosign", "COSIGN", "make test-supply-chain compiles it for this test")
	host := registry(t)
	cosign := func(dir string, args ...string) {
		t.Helper()
		c := exec.CommandContext(t.Context(), "cosign", args...)
		c.Dir, c.Env = dir, append(os.Environ(), "COSIGN_PASSWORD=secret", "COSIGN_YES=true")
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("cosign %v: %v\n%s", args, err, out)
		}
	}
	ours, theirs := t.TempDir(), t.TempDir()
	cosign(ours, "generate-key-pair")
	cosign(theirs, "generate-key-pair")
	public, err := os.ReadFile(filepath.Join(ours, "cosign.pub"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(ours, "signing-config.json")
	cosign(ours, "signing-config", "create", "--out", config)
	predicate := filepath.Join(ours, "provenance.json")
	if err := os.WriteFile(predicate, []byte(`{"buildDefinition": {"buildType": "https://example.com/build/v1", "externalParameters": {}}, "runDetails": {"builder": {"id": "https://example.com"}}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	sign := []string{"--key", "cosign.key", "--signing-config", config, "--allow-insecure-registry"}
	for _, c := range []struct {
		name, says string
		prepare    func(t *testing.T, image string)
	}{
		{"unsigned", "The image has no valid signature by the key cosign.pub; nothing has been touched", func(*testing.T, string) {}},
		{"signed by someone else", "no valid signature", func(_ *testing.T, image string) {
			cosign(theirs, append(append([]string{"sign"}, sign...), image)...)
			cosign(theirs, append(append([]string{"attest", "--type", "slsaprovenance1", "--predicate", predicate}, sign...), image)...)
		}},
		{"without provenance", "The image has no valid provenance by the key cosign.pub", func(_ *testing.T, image string) {
			cosign(ours, append(append([]string{"sign"}, sign...), image)...)
		}},
		{"with another attestation", "no valid provenance", func(_ *testing.T, image string) {
			cosign(ours, append(append([]string{"sign"}, sign...), image)...)
			cosign(ours, append(append([]string{"attest", "--type", "custom", "--predicate", predicate}, sign...), image)...)
		}},
		{"signed with provenance", letThrough, func(_ *testing.T, image string) {
			cosign(ours, append(append([]string{"sign"}, sign...), image)...)
			cosign(ours, append(append([]string{"attest", "--type", "slsaprovenance1", "--predicate", predicate}, sign...), image)...)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			repository := host + "/acme/" + strings.ReplaceAll(c.name, " ", "-")
			out, err := exec.CommandContext(t.Context(), filepath.Join(commands(t), "crane"), "append", "--oci-empty-base", "--new_tag", repository+":x", "--new_layer",
				layer(t, map[string]os.FileMode{"app": 0o755}, 10)).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			_, digest, _ := strings.Cut(strings.TrimSpace(string(out)), "@")
			c.prepare(t, repository+"@"+digest)
			p := productionJob(t, ", verify_key: cosign.pub, insecure_registry: true", repository, digest, digest)
			p.write("cosign.pub", string(public))
			p.commit("Trust a key")
			p.run(nil, "deploy-production").red("deploy-production", exitOf(c.says), c.says)
		})
	}
}
