package consumers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// standInKubectl answers the queries that the production job makes before it deploys, and fails on the first change: a job that gets that far
// has passed all checks.
const standInKubectl = `#!/bin/sh
# STAND-IN for kubectl and its cluster.
case "$1" in
version) ;;
kustomize) printf 'apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: service\n  namespace: shop\n' ;;
*) echo "passed all checks" >&2; exit 1 ;;
esac
`

// passedChecks is the message of a production job that passed all checks.
const passedChecks = "passed all checks"

// exitOf returns the job's exit code: 1 if it was refused, slipway's 2 if it passed all checks.
func exitOf(says string) int {
	if says == passedChecks {
		return 2
	}
	return 1
}

// productionJob returns a project whose production job can run alone, with the artifact of a staging job.
func productionJob(t *testing.T, inputs, repository, stagingDigest, digest string) *project {
	t.Helper()
	p := clone(t, "service")
	p.path = t.TempDir()
	outside.WriteProgram(t, filepath.Join(p.path, "kubectl"), standInKubectl)
	p.write(".gitlab-ci.yml", with("deploy", "app: service, needs: [], review_needs: []"+inputs))
	// The artifact of the staging job.
	p.write("deployed.env", "IMAGE_REPOSITORY="+repository+"\nIMAGE_DIGEST="+stagingDigest+"\n")
	p.commit("Deploy")
	p.alone = true
	p.variables = []pipeline.Variable{{Key: "IMAGE_REPOSITORY", Value: repository}, {Key: "IMAGE_DIGEST", Value: digest}}
	return p
}

// TestProductionRequiresTheDigestOfStaging starts production with a digest that staging did not run.
func TestProductionRequiresTheDigestOfStaging(t *testing.T) {
	t.Parallel()
	ran, other := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	productionJob(t, "", "x", ran, other).run(nil, "deploy-production").red("deploy-production", 1, "Staging of this pipeline did not run "+other+"; nothing has been touched")
	// A prefix of staging's digest is a different digest, too.
	productionJob(t, "", "x", ran+"c", ran).run(nil, "deploy-production").red("deploy-production", 1, "Staging of this pipeline did not run")
	productionJob(t, "", "x", ran, ran).run(nil, "deploy-production").red("deploy-production", exitOf(passedChecks), passedChecks)
}

// pushImage pushes a small image to a repository, and returns its digest.
func pushImage(t *testing.T, repository string) string {
	t.Helper()
	return digestOf(outside.Command(t, "", filepath.Join(commands(t), "crane"), "append", "--oci-empty-base", "--new_tag", repository+":x", "--new_layer",
		layer(t, map[string]os.FileMode{"app": 0o755}, 10)))
}

// TestProductionVerifies deploys images that are unsigned, signed with another key, signed without provenance, and signed like by the sign
// stage.
func TestProductionVerifies(t *testing.T) {
	t.Parallel()
	ours, theirs := outside.NewSigner(t), outside.NewSigner(t)
	host := registry(t)
	for _, c := range []struct {
		name, says string
		prepare    func(image string)
	}{
		{"unsigned", "The image has no valid signature by the key cosign.pub; nothing has been touched", func(string) {}},
		{"signed with another key", "no valid signature", func(image string) { theirs.Sign(image); theirs.Attest(image, "slsaprovenance1") }},
		{"without provenance", "The image has no valid provenance by the key cosign.pub", ours.Sign},
		{"with another attestation", "no valid provenance", func(image string) { ours.Sign(image); ours.Attest(image, "custom") }},
		{"signed with provenance", passedChecks, func(image string) { ours.Sign(image); ours.Attest(image, "slsaprovenance1") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			repository := host + "/acme/" + strings.ReplaceAll(c.name, " ", "-")
			digest := pushImage(t, repository)
			c.prepare(repository + "@" + digest)
			p := productionJob(t, ", verify_key: cosign.pub, insecure_registry: true", repository, digest, digest)
			p.write("cosign.pub", ours.Public())
			p.commit("Add the public key")
			p.run(nil, "deploy-production").red("deploy-production", exitOf(c.says), c.says)
		})
	}
	digest := "sha256:" + strings.Repeat("a", 64)
	productionJob(t, ", verify_key: $NO_KEY", host+"/acme/no-key", digest, digest).run(nil, "deploy-production").red("deploy-production", 2, "slipway: --key is missing")
}

// TestReviewRequiresANamespace has no KUBE_NAMESPACE: the job that removes the environment would not find it.
func TestReviewRequiresANamespace(t *testing.T) {
	t.Parallel()
	digest := "sha256:" + strings.Repeat("a", 64)
	p := productionJob(t, ", review: true", "x", digest, digest)
	p.branch()
	p.write("README.md", "Review me.\n")
	p.commit("Review")
	p.run(nil, "deploy-review").red("deploy-review", 1, "The namespace of review environments is not set: give the project KUBE_NAMESPACE with the scope review/mr-")
	p.variables = append(p.variables, pipeline.Variable{Key: "KUBE_NAMESPACE", Value: "reviews"})
	p.run(nil, "deploy-review").red("deploy-review", 2, "neither a Deployment nor a Rollout service-review-mr-") // the stand-in's rendering has no suffix
}
