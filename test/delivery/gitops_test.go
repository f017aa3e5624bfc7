package delivery

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/load"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

const (
	// gitopsWait is the time in seconds that the stage gives a commit: Flux looks once a minute, and three pods are replaced one by one.
	gitopsWait = "240"
	token      = "secret"
)

// TestGitOps delivers by commits to a repository of manifests that Flux follows with the objects of k8s/cluster/flux: two versions to staging and
// production, a version that is never ready, which the job takes back, and a rollback of production. The stage has no access to the cluster.
func TestGitOps(t *testing.T) {
	f := setup(t)
	clean(t)
	repository := f.manifests(t)
	address := outside.ServeGit(t, filepath.Dir(repository), token) + "/" + filepath.Base(repository)
	f.follow(t, address)
	port := f.ingress[strings.LastIndex(f.ingress, ":"):]
	f.write(t, ".gitlab-ci.yml", "include:\n  - local: /ci/gitops.yml\n    inputs:\n      app: orders\n      needs: []\n      repository: "+address+
		"\n      wait: "+gitopsWait+
		"\n      staging_version: http://"+staging+".localhost"+port+"/version\n      production_version: http://"+production+".localhost"+port+"/version\n")
	t.Cleanup(func() { f.configure(t, "") })

	first := f.build(t, "First")
	began := time.Now()
	f.promoteByCommit(t, first)
	t.Logf("from nothing: staging and production after %s", time.Since(began))
	rate := f.rate(t, 100)

	second := f.build(t, "Second")
	var took time.Duration
	seen := f.underBoth(t, rate, func() {
		began := time.Now()
		f.promoteByCommit(t, second)
		took = time.Since(began)
	})
	figure(t, "GitOps: staging and then production by Flux", "%d requests at %.0f/s to both, %d failed; both served after %.0f s (Flux looks once a minute)", seen.Requests, seen.Rate, seen.Failed, took.Seconds())
	unnoticed(t, seen)

	f.edit(t, "service/admin/admin.go", `"GET /readyz"`, `"GET /broken"`)
	bad := f.build(t, "Break readiness")
	var back time.Duration
	seen = f.underBoth(t, rate, func() {
		began := time.Now()
		out := f.byCommit(t, "gitops-staging", bad, false)
		took = time.Since(began)
		if !strings.Contains(out, "does not answer with commit "+bad.commit) || !strings.Contains(out, "Committed") {
			t.Errorf("the log does not say that it went back:\n%s", out)
		}
		back = eventually(t, 6*time.Minute, "Flux has gone back", func() bool {
			return outside.Image(t, staging) == second.image() && f.synchronized(t, repository, staging)
		})
	})
	figure(t, "GitOps: a version that never becomes ready", "red and taken back by a commit after %.0f s, of which the job waits %s; by Flux %.0f s later; %d requests at %.0f/s, %d failed", took.Seconds(), gitopsWait, back.Seconds(), seen.Requests, seen.Rate, seen.Failed)
	unnoticed(t, seen)
	if got := outside.ServedCommit(t, staging); got != second.commit {
		t.Errorf("staging serves %s, want %s", got, second.commit)
	}

	seen = f.underBoth(t, rate, func() {
		began := time.Now()
		f.byCommit(t, "gitops-rollback", second, true)
		took = time.Since(began)
	})
	figure(t, "GitOps: rollback of production by a commit", "the version before served after %.0f s; %d requests at %.0f/s, %d failed", took.Seconds(), seen.Requests, seen.Rate, seen.Failed)
	unnoticed(t, seen)
	if image := outside.Image(t, production); image != first.image() || outside.ServedCommit(t, production) != first.commit {
		t.Errorf("production runs %s at %s, want %s", image, outside.ServedCommit(t, production), first.image())
	}
}

// manifests makes the bare repository of manifests: k8s/ as the fixture has it, and a kustomization for each environment.
func (f *fixture) manifests(t *testing.T) string {
	t.Helper()
	repository, seed := filepath.Join(t.TempDir(), "manifests.git"), t.TempDir()
	git := func(args ...string) {
		t.Helper()
		outside.Command(t, seed, "git", append([]string{"-c", "user.name=Delivery", "-c", "user.email=delivery@example.com"}, args...)...)
	}
	git("init", "--quiet", "--bare", "--initial-branch", "main", repository)
	git("--git-dir", repository, "config", "http.receivepack", "true")
	git("clone", "--quiet", repository, ".")
	if err := os.CopyFS(filepath.Join(seed, "k8s"), os.DirFS(filepath.Join(f.clone(), "k8s"))); err != nil {
		t.Fatal(err)
	}
	for _, environment := range []string{"staging", "production"} {
		if err := os.Mkdir(filepath.Join(seed, environment), 0o750); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(seed, environment, "kustomization.yaml"), "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"+
			"resources: [../k8s/overlays/"+environment+"]\ncomponents: [../k8s/components/ingress-version, image]\n")
	}
	git("add", "--all")
	git("commit", "--quiet", "--message", "Begin")
	git("push", "--quiet", "origin", "HEAD:main")
	return repository
}

// follow applies k8s/cluster/flux with the address of the repository, and the Secret that it names, until the proof has ended.
func (f *fixture) follow(t *testing.T, address string) {
	t.Helper()
	const url = "https://gitlab.example.com/acme/orders-manifests.git"
	for _, environment := range []string{"staging", "production"} {
		objects := f.read(t, "k8s/cluster/flux/"+environment+".yaml")
		if strings.Count(objects, url) != 1 {
			t.Fatalf("k8s/cluster/flux/%s.yaml does not name %s once: the proof must follow it", environment, url)
		}
		namespace, file := "orders-"+environment, filepath.Join(t.TempDir(), "flux.yaml")
		write(t, file, strings.Replace(objects, url, address, 1))
		t.Cleanup(func() {
			// What Flux applied goes with it: prune is true.
			outside.Kubectl(t, "delete", "--ignore-not-found", "--timeout", "2m", "--filename", file)
			outside.Kubectl(t, "--namespace", namespace, "delete", "--ignore-not-found", "secret/orders-manifests")
		})
		outside.Kubectl(t, "--namespace", namespace, "create", "secret", "generic", "orders-manifests", "--from-literal=username=flux", "--from-literal=password="+token)
		outside.Kubectl(t, "apply", "--filename", file)
	}
}

// promoteByCommit runs the jobs of staging and production in one pipeline.
func (f *fixture) promoteByCommit(t *testing.T, v version) {
	t.Helper()
	f.byCommit(t, "gitops-production", v, true, "gitops-staging", "--approve", "gitops-production")
	for _, namespace := range []string{staging, production} {
		if image := outside.Image(t, namespace); image != v.image() || outside.ServedCommit(t, namespace) != v.commit {
			t.Fatalf("%s runs %s at %s, want %s", namespace, image, outside.ServedCommit(t, namespace), v.image())
		}
	}
}

// byCommit runs a job of the stage gitops on the version's commit, with more arguments of slipway run, and returns the output; it must end as wanted.
func (f *fixture) byCommit(t *testing.T, name string, v version, green bool, args ...string) string {
	t.Helper()
	defer f.checkout(t, v)()
	c := f.job(t.Context(), name, v, "GITOPS_TOKEN="+token)
	c.Args = append(c.Args, args...)
	out, err := c.CombinedOutput()
	if (err == nil) != green {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

// underBoth sends requests to staging and production while work runs, half of the rate to each.
func (f *fixture) underBoth(t *testing.T, rate int, work func()) load.Report {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reports := make(chan load.Report, 2)
	for _, namespace := range []string{staging, production} {
		go func() { reports <- load.Run(ctx, stream(f.ingress, namespace, max(rate/2, leastRate))) }()
	}
	work()
	stop()
	sum, other := <-reports, <-reports
	sum.Requests, sum.Failed, sum.Rate = sum.Requests+other.Requests, sum.Failed+other.Failed, sum.Rate+other.Rate
	sum.Failures = append(sum.Failures, other.Failures...)
	return sum
}

// synchronized reports whether Flux has applied the newest commit of the repository to a namespace, and found it healthy.
func (f *fixture) synchronized(t *testing.T, repository, namespace string) bool {
	t.Helper()
	head := outside.Command(t, repository, "git", "rev-parse", "main")
	status := outside.Kubectl(t, "--namespace", namespace, "get", "kustomizations.kustomize.toolkit.fluxcd.io/orders",
		"--output", `jsonpath={.status.lastAppliedRevision} {.status.conditions[?(@.type=="Ready")].status}`)
	return strings.HasSuffix(status, head+" True")
}
