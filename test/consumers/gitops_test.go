package consumers

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// manifestsRepository returns the folder of an empty repository of manifests, and the URL at which git serves it to those who have the password "secret".
func manifestsRepository(t *testing.T) (folder, address string) {
	t.Helper()
	folder, seed := filepath.Join(t.TempDir(), "manifests.git"), t.TempDir()
	for _, args := range [][]string{
		{"init", "--quiet", "--bare", "--initial-branch", "main", folder},
		{"--git-dir", folder, "config", "http.receivepack", "true"},
		{"clone", "--quiet", folder, seed},
		{"-C", seed, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "--quiet", "--allow-empty", "--message", "Begin"},
		{"-C", seed, "push", "--quiet", "origin", "HEAD:main"},
	} {
		outside.Command(t, "", "git", args...)
	}
	return folder, outside.ServeGit(t, filepath.Dir(folder), "secret") + "/manifests.git"
}

// TestGitOpsPermission starts production in a deploy freeze, as an author of the change, with another digest than staging's, and with an image that is not
// signed: the repository of manifests stays as it is. What is permitted is committed.
func TestGitOpsPermission(t *testing.T) {
	t.Parallel()
	host, signer := registry(t), outside.NewSigner(t)
	unsigned, signed := host+"/acme/unsigned", host+"/acme/signed"
	digests := map[string]string{unsigned: pushImage(t, unsigned), signed: pushImage(t, signed)}
	signer.Sign(signed + "@" + digests[signed])
	signer.Attest(signed+"@"+digests[signed], "slsaprovenance1")
	const checks = "four_eyes: starter, verify_key: cosign.pub, insecure_registry: true"
	freeze := pipeline.Variable{Key: "CI_DEPLOY_FREEZE", Value: "true"}
	for _, c := range []struct {
		name, inputs, repository string
		starter                  int
		variables                []pipeline.Variable
		says                     string // if it is refused
	}{
		{"freeze", checks, signed, 2, []pipeline.Variable{freeze, {Key: "FREEZE", Value: "false"}}, "A deploy freeze is on; nothing has been touched"},
		{"started by an author", checks, signed, 1, nil, "The person who starts this job is an author of the change; nothing has been touched"},
		{"another digest", checks, signed, 2, []pipeline.Variable{{Key: "IMAGE_DIGEST", Value: "sha256:0"}}, "Staging of this pipeline did not run sha256:0; nothing has been touched"},
		{"unsigned", checks, unsigned, 2, nil, "The image has no valid signature by the key cosign.pub; nothing has been touched"},
		{"signed, started by another person", checks, signed, 2, nil, ""},
		{"nothing is asked for", "freeze: false", unsigned, 1, []pipeline.Variable{freeze}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			manifests, address := manifestsRepository(t)
			gitlab := standInGitLab(t, mergeRequests, []string{ada}, nil, c.starter)
			p := clone(t, "service")
			p.write(".gitlab-ci.yml", with("gitops", fmt.Sprintf("app: service, repository: '%s', needs: [], %s", address, c.inputs)))
			p.write("cosign.pub", signer.Public())
			// The artifact of the staging job.
			p.write("deployed.env", "IMAGE_REPOSITORY="+c.repository+"\nIMAGE_DIGEST="+digests[c.repository]+"\n")
			p.commit("Deploy with commits")
			p.alone = true
			p.variables = append([]pipeline.Variable{{Key: "IMAGE_REPOSITORY", Value: c.repository}, {Key: "IMAGE_DIGEST", Value: digests[c.repository]}, {Key: "GITOPS_TOKEN", Value: "secret"},
				{Key: "FOUR_EYES_TOKEN", Value: "secret"}, {Key: "CI_API_V4_URL", Value: gitlab}, {Key: "CI_API_GRAPHQL_URL", Value: gitlab + "/graphql"}}, c.variables...)
			o := p.run(nil, "gitops-production")
			commits := outside.Command(t, "", "git", "--git-dir", manifests, "log", "--format=%s", "main")
			if c.says != "" {
				if o.red("gitops-production", 1, c.says); commits != "Begin" {
					t.Errorf("the repository of manifests was changed:\n%s", commits)
				}
				return
			}
			if o.green("gitops-production"); commits != "service: "+digests[c.repository]+"\nBegin" {
				t.Errorf("the repository of manifests has\n%s", commits)
			}
		})
	}
}

// TestGitOps deploys with commits to a repository of manifests, rolls back, and refuses older commits and versions that do not come up.
func TestGitOps(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs jobs for minutes")
	}
	manifests, address := manifestsRepository(t)
	file := func(environment string) string {
		t.Helper()
		return outside.Command(t, "", "git", "--git-dir", manifests, "show", "main:"+environment+"/image/kustomization.yaml")
	}

	// STAND-IN for Flux and the service, which test/delivery has: it serves the version that the repository names, until it stalls.
	var stalled atomic.Bool
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out, err := exec.CommandContext(r.Context(), "git", "--git-dir", manifests, "show", "main:staging/image/kustomization.yaml").Output()
		if err != nil || stalled.Load() {
			out = []byte("the previous version")
		}
		_, _ = w.Write(out)
	}))
	t.Cleanup(service.Close)

	p := clone(t, "service")
	seconds := 300
	configure := func(app, inputs string) {
		p.write(".gitlab-ci.yml", with("gitops", fmt.Sprintf("app: %s, %s repository: '%s', needs: [], staging_version: '%s/version', wait: %d", app, inputs, address, service.URL, seconds)))
	}
	configure("service", "")
	p.commit("Deploy with commits")
	p.alone = true
	digest := func(letter string) string { return "sha256:" + strings.Repeat(letter, 64) }
	deliver := func(letter string) {
		p.write("README.md", letter)
		p.commit("Version " + letter)
		p.variables = []pipeline.Variable{{Key: "IMAGE_REPOSITORY", Value: "registry.example.com/service"}, {Key: "IMAGE_DIGEST", Value: digest(letter)},
			{Key: "GITOPS_TOKEN", Value: "secret", Masked: true}}
	}
	promote := func(letter string) {
		t.Helper()
		deliver(letter)
		p.run(nil, "gitops-staging", "gitops-production").green("gitops-staging", "gitops-production")
		for _, environment := range []string{"staging", "production"} {
			if got := file(environment); !strings.Contains(got, "digest: '"+digest(letter)+"'") || !strings.Contains(got, "# commit: "+p.git("rev-parse", "HEAD")) {
				t.Fatalf("%s is\n%s", environment, got)
			}
		}
	}
	promote("a")
	older := p.git("rev-parse", "HEAD")
	promote("b")
	promote("c")

	for _, letter := range []string{"b", "a"} {
		p.run(nil, "gitops-rollback").green("gitops-rollback")
		if got := file("production"); !strings.Contains(got, digest(letter)) {
			t.Errorf("after the rollback production is\n%s\nwant %s", got, digest(letter))
		}
	}
	p.run(nil, "gitops-rollback").red("gitops-rollback", 1, "has no version before the present one; nothing has been touched")
	// Versions from which production went back are passed over.
	promote("d")
	p.run(nil, "gitops-rollback").green("gitops-rollback")
	if got := file("production"); !strings.Contains(got, digest("a")) {
		t.Errorf("after d and a rollback production is\n%s\nwant %s", got, digest("a"))
	}
	p.run(nil, "gitops-rollback").red("gitops-rollback", 1, "has no version before the present one; nothing has been touched")

	// An older commit does not replace a newer one.
	newest := p.git("rev-parse", "HEAD")
	p.git("checkout", "--quiet", "-B", "main", older)
	p.run(nil, "gitops-staging").red("gitops-staging", 1, "does not contain "+newest, "nothing has been touched")
	p.git("checkout", "--quiet", "-B", "main", newest)

	// A version that does not come up is reverted.
	seconds = 10
	configure("service", "")
	deliver("e")
	head := p.git("rev-parse", "HEAD")
	stalled.Store(true)
	p.run(nil, "gitops-staging").red("gitops-staging", 1, "does not answer with commit "+head, "The last answer of "+service.URL+"/version: the previous version", "taking it back")
	if got := file("staging"); !strings.Contains(got, digest("d")) {
		t.Errorf("staging was not reverted:\n%s", got)
	}

	// The first version of an environment has none before it.
	configure("service", "environment_prefix: first-,")
	p.commit("Another environment")
	p.run(nil, "gitops-staging").red("gitops-staging", 1, "first-staging/image/kustomization.yaml has no version before the present one; commit ", " is in the repository")
	// Another service does not take the file of the first one.
	configure("other", "")
	p.commit("Another service")
	p.run(nil, "gitops-staging").red("gitops-staging", 1, "staging/image/kustomization.yaml has another image than other; nothing has been touched", "environment_prefix")
	if got := file("staging"); !strings.Contains(got, digest("d")) {
		t.Errorf("another service has changed staging:\n%s", got)
	}

	p.variables[2].Value = "another"
	p.run(nil, "gitops-staging").red("gitops-staging", 1, "The repository of manifests cannot be read; nothing has been touched", "GITOPS_TOKEN")
}
