package pipelinetest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/matrix"
	pt "gitlab.com/slipway-ci/slipway/pipeline/pipelinetest"
)

func TestClaimsThatHold(t *testing.T) {
	t.Parallel()
	p := pt.Load(t, os.DirFS("testdata"))

	p.On(pt.MergeRequestFromFork()).IsCreated().HasNoJob("build-image").HasNoJob("deploy-production")
	p.On(pt.MergeRequest().Changing("docs/a.md")).HasJob("docs").Job("docs").MayFail().StartsImmediately()
	p.On(pt.MergeRequest().Changing("a.go")).HasNoJob("docs").HasJobs("test: [amd64]", "test: [arm64]").HasStages("test")
	p.On(pt.Push("feature")).IsNamed("feature").HasNoJob("docs")
	p.On(pt.Push("feature").With("DOCS", "yes")).HasJob("docs")
	p.On(pt.Schedule("main")).IsNotCreated()
	p.On(pt.Push("main")).HasNoJob("deploy-production").Job("deploy-staging").IsAutomatic().DeploysTo("staging").
		IsOneAtATimeIn("staging").RunsAfter("test").RunsAfter("build-image").DoesNotNeed("test").IsInStage("deploy")

	tag := p.On(pt.Tag("v1.2.3"))
	tag.Job("deploy-production").IsManual().Blocks().Needs("deploy-staging").RunsAfter("build-image").Runs("make deploy").DoesNotRun("go test")
	tag.Job("test").HasImage("golang:1.27.4").HasVariable("GOFLAGS", "-race").HasVariable("GOARCH", "amd64").HasNoVariable("CGO_ENABLED")
}

func TestMatrix(t *testing.T) {
	t.Parallel()
	pt.Load(t, os.DirFS("testdata")).MatchesMatrix("testdata/matrix.golden")
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	p := pt.Load(t, configuration("a: {script: [x], needs: [b]}\nb: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}\n"))
	if errors := p.Refuses(pt.Push("main"), "jobs:a:needs"); len(errors) != 1 {
		t.Errorf("%d errors, want 1", len(errors))
	}
	p.On(pt.Tag("v1")).HasJobs("a", "b")
}

// What a failing claim says is its worth: the reason, and where it stands.
func TestClaimsThatFail(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		claim func(*pt.Project)
		want  []string
	}{
		{"a job that a rule leaves out", func(p *pt.Project) { p.On(pt.Push("main")).Job("deploy-production").IsManual() },
			[]string{"on push to main: there is no job deploy-production: ", ".gitlab-ci.yml:"}},
		{"a job that is not in the configuration", func(p *pt.Project) { p.On(pt.Push("main")).HasJob("deploi") },
			[]string{"the configuration has no job deploi; it has ", "deploy-staging"}},
		{"a job without a pipeline", func(p *pt.Project) { p.On(pt.Schedule("main")).HasJob("build-image") },
			[]string{"there is no job build-image, since there is no pipeline: workflow:rules[0] matched: if $CI_PIPELINE_SOURCE", ".gitlab-ci.yml:6"}},
		{"a job that is there", func(p *pt.Project) { p.On(pt.Tag("v1")).HasNoJob("deploy-production") },
			[]string{"there is a job deploy-production: ", "$CI_COMMIT_TAG", ".gitlab-ci.yml:5"}},
		{"no pipeline", func(p *pt.Project) { p.On(pt.Schedule("main")).IsCreated() }, []string{"there is no pipeline"}},
		{"a pipeline", func(p *pt.Project) { p.On(pt.Push("main")).IsNotCreated() }, []string{"there is a pipeline, with test: [amd64]"}},
		{"more jobs", func(p *pt.Project) { p.On(pt.Push("feature")).HasJobs("test: [amd64]") }, []string{"test: [arm64] is created, too"}},
		{"fewer jobs", func(p *pt.Project) {
			p.On(pt.Push("feature")).HasJobs("test: [amd64]", "test: [arm64]", "build-image")
		}, []string{"there is no job build-image: "}},
		{"stages", func(p *pt.Project) { p.On(pt.Push("feature")).HasStages("build") }, []string{"the stages are test, want build"}},
		{"name", func(p *pt.Project) { p.On(pt.Push("feature")).IsNamed("x") }, []string{`named "feature", want "x"`}},
		{"manual", func(p *pt.Project) { p.On(pt.Push("main")).Job("build-image").IsManual() }, []string{"job build-image starts on_success, want manual"}},
		{"automatic", func(p *pt.Project) { p.On(pt.Tag("v1")).Job("deploy-production").IsAutomatic() }, []string{"starts manual, want on_success"}},
		{"blocks", func(p *pt.Project) { p.On(pt.Push("a").With("DOCS", "yes")).Job("docs").Blocks() }, []string{"job docs does not block"}},
		{"may fail", func(p *pt.Project) { p.On(pt.Push("main")).Job("build-image").MayFail() }, []string{"job build-image blocks the pipeline"}},
		{"needs", func(p *pt.Project) { p.On(pt.Push("main")).Job("deploy-staging").Needs("test") }, []string{"does not need test; it needs build-image"}},
		{"needs nothing", func(p *pt.Project) { p.On(pt.Push("main")).Job("build-image").Needs("test") }, []string{"it needs nothing"}},
		{"does not need", func(p *pt.Project) { p.On(pt.Push("main")).Job("deploy-staging").DoesNotNeed("build-image") }, []string{"needs build-image"}},
		{"runs after", func(p *pt.Project) { p.On(pt.Push("main").With("DOCS", "yes")).Job("docs").RunsAfter("build-image") }, []string{"can start before build-image has ended"}},
		{"runs after a job that is not there", func(p *pt.Project) { p.On(pt.Push("main")).Job("build-image").RunsAfter("docs") }, []string{"there is no job docs"}},
		{"runs at once", func(p *pt.Project) { p.On(pt.Push("main")).Job("build-image").StartsImmediately() }, []string{"waits for test: [amd64], test: [arm64]"}},
		{"stage", func(p *pt.Project) { p.On(pt.Push("main")).Job("build-image").IsInStage("test") }, []string{"is in stage build, want test"}},
		{"no environment", func(p *pt.Project) { p.On(pt.Push("main")).Job("build-image").DeploysTo("staging") }, []string{"deploys to no environment, want staging"}},
		{"another environment", func(p *pt.Project) { p.On(pt.Push("main")).Job("deploy-staging").DeploysTo("x") }, []string{"deploys to staging, want x"}},
		{"resource group", func(p *pt.Project) { p.On(pt.Push("main")).Job("build-image").IsOneAtATimeIn("x") }, []string{`resource group "", want "x"`}},
		{"variable", func(p *pt.Project) { p.On(pt.Push("main")).Job("test").HasVariable("GOFLAGS", "x") }, []string{`GOFLAGS="-race", want "x"`}},
		{"no variable", func(p *pt.Project) { p.On(pt.Push("main")).Job("test").HasVariable("NOPE", "x") }, []string{"has no variable NOPE"}},
		{"a variable too many", func(p *pt.Project) { p.On(pt.Push("main")).Job("test").HasNoVariable("GOFLAGS") }, []string{`GOFLAGS="-race", want it absent`}},
		{"build-image", func(p *pt.Project) { p.On(pt.Push("main")).Job("test").HasImage("x") }, []string{`image "golang:1.27.4", want "x"`}},
		{"no image", func(p *pt.Project) { p.On(pt.Push("main")).Job("build-image").HasImage("x") }, []string{`image "", want "x"`}},
		{"runs", func(p *pt.Project) { p.On(pt.Push("main")).Job("build-image").Runs("go test") }, []string{`does not run "go test"`, "make image"}},
		{"does not run", func(p *pt.Project) { p.On(pt.Push("main")).Job("build-image").DoesNotRun("make") }, []string{`runs "make"`}},
		{"refuses", func(p *pt.Project) { p.Refuses(pt.Push("main"), "jobs:x") }, []string{"accepted, want it refused at jobs:x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{TB: t}
			tt.claim(pt.Load(r, os.DirFS("testdata")))
			if len(r.failures) != 1 {
				t.Fatalf("%d failures, want 1: %q", len(r.failures), r.failures)
			}
			for _, want := range tt.want {
				if !strings.Contains(r.failures[0], want) {
					t.Errorf("the failure does not say %q:\n%s", want, r.failures[0])
				}
			}
		})
	}
}

func TestARefusedConfigurationFailsOnce(t *testing.T) {
	t.Parallel()
	r := &recorder{TB: t}
	p := pt.Load(r, configuration("a: {script: [x], stage: nowhere}\n"))
	p.On(pt.Push("main")).IsCreated().IsNotCreated().HasJobs("b").HasNoJob("c").HasStages("d").IsNamed("e").
		Job("f").IsManual().Blocks().MayFail().Needs("x").DoesNotNeed("x").RunsAfter("x").StartsImmediately().IsInStage("x").
		DeploysTo("x").IsOneAtATimeIn("x").HasVariable("X", "").HasNoVariable("X").HasImage("x").Runs("x").DoesNotRun("x")
	if len(r.failures) != 1 || !strings.Contains(r.failures[0], "nowhere") {
		t.Errorf("want one failure that tells the error, got %q", r.failures)
	}
	p.Refuses(pt.Push("main"), "jobs:b")
	if len(r.failures) != 2 || !strings.Contains(r.failures[1], "but not at jobs:b") {
		t.Errorf("want a failure that tells the other place, got %q", r.failures)
	}
}

func TestMatrixTellsDifferences(t *testing.T) {
	t.Parallel()
	golden := filepath.Join(t.TempDir(), "matrix.golden")
	events := []pt.Event{pt.Push("main"), pt.Tag("v1")}
	before := &recorder{TB: t}
	pt.Load(before, configuration("a: {script: [x]}\n")).MatchesMatrix(golden, events...)
	if len(before.failures) != 1 || !strings.Contains(before.failures[0], "UPDATE_GOLDEN=1") {
		t.Errorf("without a golden file: %q", before.failures)
	}
	if err := os.WriteFile(golden, []byte(goldenOf(t, "a: {script: [x]}\n", events)), 0o644); err != nil {
		t.Fatal(err)
	}
	same := &recorder{TB: t}
	pt.Load(same, configuration("a: {script: [x]}\n")).MatchesMatrix(golden, events...)
	if len(same.failures) != 0 {
		t.Errorf("the same matrix differs: %q", same.failures)
	}
	other := &recorder{TB: t}
	pt.Load(other, configuration("a: {script: [x], rules: [{if: $CI_COMMIT_TAG}]}\n")).MatchesMatrix(golden, events...)
	if len(other.failures) != 1 || !strings.Contains(other.failures[0], "~ a: on_success -> absent on push to main") {
		t.Errorf("another matrix: %q", other.failures)
	}
}

func TestEventsAreValues(t *testing.T) {
	t.Parallel()
	base := pt.MergeRequest()
	changed := base.Changing("a").With("K", "v").Labelled("urgent").WithInput("x", 1).Protected()
	if diff := cmp.Diff(pt.MergeRequest().Event, base.Event, cmpopts.IgnoreUnexported(pipeline.Event{})); diff != "" {
		t.Errorf("deriving an event has changed it (-want +got):\n%s", diff)
	}
	want := pipeline.Event{
		Name: "merge request", Source: pipeline.MergeRequest, Branch: "feature", Changed: []string{"a"}, RefProtected: true,
		Variables: []pipeline.Variable{{Key: "K", Value: "v"}}, Inputs: map[string]any{"x": 1},
		MergeRequestInfo: &pipeline.MergeRequestInfo{IID: 1, SourceBranch: "feature", Title: "Change", Labels: []string{"urgent"}},
	}
	if diff := cmp.Diff(want, changed.Event, cmpopts.IgnoreUnexported(pipeline.Event{})); diff != "" {
		t.Errorf("derived event (-want +got):\n%s", diff)
	}
}

func goldenOf(t *testing.T, configurationText string, events []pt.Event) string {
	t.Helper()
	project, err := pipeline.Load(configuration(configurationText), pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var list []pipeline.Event
	for _, event := range events {
		list = append(list, event.Event)
	}
	m, err := matrix.Build(t.Context(), project, list)
	if err != nil {
		t.Fatal(err)
	}
	return m.Text()
}

func configuration(text string) fstest.MapFS {
	return fstest.MapFS{".gitlab-ci.yml": {Data: []byte(text)}}
}

// A recorder keeps failures instead of failing.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}
