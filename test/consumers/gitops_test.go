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

// TestGitOps deploys with commits to a repository of manifests, rolls back, and refuses older commits and versions that do not come up.
func TestGitOps(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs jobs for minutes")
	}
	manifests := filepath.Join(t.TempDir(), "manifests.git")
	git := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet", "--bare", "--initial-branch", "main", manifests)
	seed := t.TempDir()
	git("--git-dir", manifests, "config", "http.receivepack", "true")
	git("clone", "--quiet", manifests, seed)
	git("-C", seed, "commit", "--quiet", "--allow-empty", "--message", "Begin")
	git("-C", seed, "push", "--quiet", "origin", "HEAD:main")
	file := func(environment string) string {
		t.Helper()
		return git("--git-dir", manifests, "show", "main:"+environment+"/image/kustomization.yaml")
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
	address := outside.ServeGit(t, filepath.Dir(manifests), "secret") + "/manifests.git"

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
