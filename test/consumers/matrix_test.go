package consumers

import (
	"os"
	"path/filepath"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/pipelinetest"
)

// TestMatrix compares the jobs of each consumer for each kind of event with a golden file; UPDATE_GOLDEN=1 writes it.
func TestMatrix(t *testing.T) {
	t.Parallel()
	if n := len(pipeline.StandardEvents()); n < 15 {
		t.Fatalf("%d standard events, want 15 or more", n)
	}
	for _, name := range consumers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := pipelinetest.LoadWith(t, os.DirFS(name), options(name))
			p.MatchesMatrix(filepath.Join("testdata", name+".matrix"))
		})
	}
}

// TestSlipway does the same for the pipeline of this repository.
func TestSlipway(t *testing.T) {
	t.Parallel()
	p := pipelinetest.Load(t, os.DirFS(root))
	p.MatchesMatrix(filepath.Join("testdata", "slipway.matrix"))
}

func has(p *pipelinetest.Plan, jobs ...string) {
	for _, job := range jobs {
		p.HasJob(job)
	}
}

func lacks(p *pipelinetest.Plan, jobs ...string) {
	for _, job := range jobs {
		p.HasNoJob(job)
	}
}

func TestForksGetChecksOnly(t *testing.T) {
	t.Parallel()
	p := pipelinetest.LoadWith(t, os.DirFS("fork"), options("fork"))
	fork := p.On(pipelinetest.MergeRequestFromFork())
	has(fork, "lint", "gosec", "vulnerabilities", "secrets", "licenses", "test")
	fork.Job("build-image").HasVariable("IMAGE_PUSH", "false")
	lacks(fork, "image-check", "publish", "sonar", "deploy-review", "deploy-staging", "deploy-production")

	own := p.On(pipelinetest.MergeRequest())
	own.Job("build-image").HasVariable("IMAGE_PUSH", "true")
	own.Job("deploy-review").DeploysTo("review/mr-1").Needs("build-image")
	own.Job("deploy-review-stop").IsManual().MayFail()
}

func TestProductionIsManual(t *testing.T) {
	t.Parallel()
	p := pipelinetest.LoadWith(t, os.DirFS("service"), options("service"))
	main := p.On(pipelinetest.Push("main"))
	main.Job("deploy-production").IsManual().Blocks().Needs("deploy-staging").IsOneAtATimeIn("service-production").DeploysTo("production")
	main.Job("deploy-rollback").IsManual().MayFail().StartsImmediately().IsOneAtATimeIn("service-production")
	main.Job("deploy-staging").IsAutomatic().RunsAfter("publish").RunsAfter("gosec").RunsAfter("test").RunsAfter("image-check")
	for _, e := range []pipelinetest.Event{
		pipelinetest.MergeRequest(), pipelinetest.MergeRequestFromFork(), pipelinetest.MergedResult(), pipelinetest.MergeTrain(),
		pipelinetest.Push("feature"), pipelinetest.Tag("v1.2.3"), pipelinetest.Schedule("main"),
	} {
		lacks(p.On(e), "deploy-production", "deploy-rollback", "deploy-staging")
	}
}

func TestReleaseBuildsNothing(t *testing.T) {
	t.Parallel()
	p := pipelinetest.LoadWith(t, os.DirFS("service"), options("service"))
	tag := p.On(pipelinetest.Tag("v1.2.3"))
	lacks(tag, "build-image", "publish")
	tag.Job("release").Needs("release-image")
	tag.Job("release-image").Needs("test", "gosec")
	lacks(p.On(pipelinetest.Tag("nightly")), "release", "release-image")
	pipelinetest.LoadWith(t, os.DirFS("library"), options("library")).On(pipelinetest.Tag("v1.2.3")).Job("release").Needs("test", "lint").DoesNotNeed("release-image")
}

func TestOneModuleChanges(t *testing.T) {
	t.Parallel()
	p := pipelinetest.LoadWith(t, os.DirFS("monorepo"), options("monorepo"))
	billing := p.On(pipelinetest.MergeRequest().Changing("billing/main.go"))
	has(billing, "billing-lint", "billing-gosec", "billing-test")
	lacks(billing, "catalog-test", "greeting-test")
	shared := p.On(pipelinetest.MergeRequest().Changing("greeting/greeting.go"))
	has(shared, "billing-test", "catalog-test", "greeting-test")
	lacks(p.On(pipelinetest.MergeRequest().Changing("README.md")), "billing-test", "catalog-test", "greeting-test")
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	p := pipelinetest.LoadWith(t, os.DirFS("overrides"), options("overrides"))
	mr := p.On(pipelinetest.MergeRequest())
	lacks(mr, "secrets", "build-image", "deploy-staging")
	mr.Job("lint").IsInStage("check")
	mr.Job("test").IsInStage("check").HasImage("registry.example.com/mirror/golang:1.27.4").HasVariable("EXTRA", "1").
		HasVariable("SLIPWAY_TOOLS_IMAGE", "registry.example.com/mirror/tools:0.1.0").Runs("made by before_script").Runs("gotestsum")
	lacks(p.On(pipelinetest.Push("main")), "lint")
}
