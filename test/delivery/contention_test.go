package delivery

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestTwoPipelines is proof 9: of two concurrent deployments one wins and the other reports it; an older commit does not replace a newer one.
func TestTwoPipelines(t *testing.T) {
	f := setup(t)
	older := f.build(t, "Older")
	f.deploy(t, older, true)
	first, second := f.build(t, "First"), f.build(t, "Second")
	// GitLab separates two jobs of one resource group within a project, but not those of two projects or two GitLabs.
	other := &fixture{dir: t.TempDir(), variables: f.variables}
	outside.Command(t, "", "git", "clone", "--quiet", f.clone(), other.clone())
	outside.Command(t, other.clone(), "git", "remote", "remove", "origin")
	outside.Command(t, other.clone(), "git", "checkout", "--quiet", "-B", "main", first.commit)
	type result struct {
		v     version
		out   string
		green bool
	}
	results := make(chan result, 2)
	run := func(f *fixture, v version) {
		out, err := f.job(t.Context(), "deploy-staging", v).CombinedOutput()
		results <- result{v, string(out), err == nil}
	}
	go run(other, first)
	go run(f, second)
	var winner *result
	for range 2 {
		r := <-results
		switch {
		case r.green && winner == nil:
			winner = &r
		case r.green:
			t.Error("both deployments succeeded")
		case !strings.Contains(r.out, "Another job deploys orders to "+staging+" at this moment") || !strings.Contains(r.out, "nothing has been touched"):
			t.Errorf("the deployment that lost does not report it:\n%s", r.out)
		}
	}
	if winner == nil {
		t.Fatal("no deployment succeeded")
	}
	if got := outside.ServedCommit(t, staging); got != winner.v.commit {
		t.Errorf("staging serves %s, want the winner's %s", got, winner.v.commit)
	}
	out := f.deploy(t, older, false)
	if !strings.Contains(out, "does not contain commit "+winner.v.commit[:8]) || outside.ServedCommit(t, staging) != winner.v.commit {
		t.Errorf("want the older commit refused with the reason:\n%s", out)
	}
	figure(t, "9 two pipelines, and an older one", "one deployed, the other was refused and named it; the older commit was refused")
}

// TestOtherDigest is also part of proof 9: production accepts only the digest that staging ran, regardless of the job's variables.
func TestOtherDigest(t *testing.T) {
	f := setup(t)
	v, other := f.build(t, "For production"), f.build(t, "Not for staging")
	f.deploy(t, v, true)
	// A pipeline waits for a person, who starts production with another digest among its variables.
	f.promote(t, v)
	write(t, filepath.Join(f.clone(), "deployed.env"), "IMAGE_REPOSITORY="+other.repository+"\nIMAGE_DIGEST="+v.digest+"\n")
	f.write(t, ".gitlab-ci.yml", f.read(t, ".gitlab-ci.yml")+"deploy-production:\n  needs: []\n")
	t.Cleanup(func() { f.configure(t, ""); _ = os.Remove(filepath.Join(f.clone(), "deployed.env")) })
	f.commit(t, "Start production alone")
	c := f.job(t.Context(), "deploy-production", other)
	c.Args = append(c.Args, "--approve", "deploy-production")
	out, err := c.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "Staging of this pipeline did not run "+other.digest) {
		t.Errorf("%v, want a refusal:\n%s", err, out)
	}
	if got := outside.ServedCommit(t, production); got != v.commit {
		t.Errorf("production serves %s, want %s", got, v.commit)
	}
	figure(t, "9 a digest that staging did not run", "refused by production")
}

// TestPolicies is proof 7: pods that break the admission policies are refused on the cluster, with the reason.
func TestPolicies(t *testing.T) {
	f := setup(t)
	outside.Command(t, f.clone(), "platform", "kubectl", "apply", "--kustomize", "k8s/cluster/admission")
	outside.Kubectl(t, "create", "namespace", "guarded")
	outside.Kubectl(t, "label", "namespace", "guarded", "slipway.dev/admission=enforce")
	t.Cleanup(func() {
		outside.Kubectl(t, "delete", "namespace", "guarded", "--wait=false")
		outside.Command(t, f.clone(), "platform", "kubectl", "delete", "--kustomize", "k8s/cluster/admission")
	})
	digest := "registry.gitlab.com/slipway-ci/slipway@sha256:" + strings.Repeat("a", 64)
	attempts := []struct{ name, image, user, reason string }{
		{"root", digest, "0", "must not run as root"},
		{"latest", "registry.gitlab.com/slipway-ci/slipway:latest", "65532", "is not pinned by digest"},
		{"a foreign registry", strings.Replace(digest, "registry.gitlab.com", "docker.io", 1), "65532", "is from none of the registries"},
	}
	pod := func(image, user string) (string, error) { return attempt(t, "guarded", image, user) }
	// A new policy and its parameters take a moment. That the valid pod is accepted shows that the others are refused for their reason.
	eventually(t, time.Minute, "the policies are in force", func() bool {
		out, _ := pod(attempts[0].image, attempts[0].user)
		_, err := pod(digest, "65532")
		return strings.Contains(out, attempts[0].reason) && err == nil
	})
	for _, a := range attempts {
		t.Run(a.name, func(t *testing.T) {
			if out, err := pod(a.image, a.user); err == nil || !strings.Contains(out, a.reason) {
				t.Errorf("%s: %v, want a refusal with %q: %s", a.name, err, a.reason, out)
			}
		})
	}
	figure(t, "7 policies", "root, latest and a foreign registry refused, each with its reason; a valid pod accepted")
}

// attempt asks the cluster whether it would create a pod that is restricted, but for its user, and returns the answer.
func attempt(t *testing.T, namespace, image, user string) (string, error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "platform", "kubectl", "--namespace", namespace, "create", "--dry-run=server", "--filename", "-")
	c.Stdin = strings.NewReader(`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"attempt"},"spec":{"automountServiceAccountToken":false,
		"securityContext":{"runAsNonRoot":true,"runAsUser":` + user + `,"seccompProfile":{"type":"RuntimeDefault"}},
		"containers":[{"name":"main","image":"` + image + `","securityContext":{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]}}}]}}`)
	out, err := c.CombinedOutput()
	return string(out), err
}
