package runner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func TestOrder(t *testing.T) {
	t.Parallel()
	const pass, fail = "true", "false"
	for _, tt := range []struct {
		name   string
		jobs   []*pipeline.Job
		status RunStatus
		want   []string
	}{
		{"a failure skips later stages", []*pipeline.Job{job("a", fail), job("b", pass), job("c", pass, stage("deploy"))},
			RunFailed, []string{"a: failed", "b: success", "c: skipped"}},
		{"an allowed failure does not", []*pipeline.Job{job("a", fail, allowFailure()), job("c", pass, stage("deploy"))},
			RunSuccess, []string{"a: failed (allowed)", "c: success"}},
		{"exit codes that are allowed", []*pipeline.Job{job("a", "exit 3", allowFailure(3, 4)), job("c", pass, stage("deploy"))},
			RunSuccess, []string{"a: failed (allowed)", "c: success"}},
		{"exit codes that are not", []*pipeline.Job{job("a", "exit 5", allowFailure(3, 4)), job("c", pass, stage("deploy"))},
			RunFailed, []string{"a: failed", "c: skipped"}},
		{"on_failure and always after a failure", []*pipeline.Job{
			job("a", fail), job("f", pass, stage("clean"), when(pipeline.OnFailure)), job("w", pass, stage("clean"), when(pipeline.Always))},
			RunFailed, []string{"a: failed", "f: success", "w: success"}},
		{"on_failure and always after a success", []*pipeline.Job{
			job("a", pass), job("f", pass, stage("clean"), when(pipeline.OnFailure)), job("w", pass, stage("clean"), when(pipeline.Always))},
			RunSuccess, []string{"a: success", "f: skipped", "w: success"}},
		{"a skipped stage is no obstacle", []*pipeline.Job{
			job("a", pass), job("f", pass, stage("clean"), when(pipeline.OnFailure)), job("z", pass, stage("last"))},
			RunSuccess, []string{"a: success", "f: skipped", "z: success"}},
		{"a need that was skipped is one", []*pipeline.Job{
			job("f", pass, when(pipeline.OnFailure)), job("z", pass, stage("last"), needs("f"))},
			RunSuccess, []string{"f: skipped", "z: skipped"}},
		{"needs do not wait for the stage", []*pipeline.Job{job("a", pass), job("b", fail), job("c", pass, stage("deploy"), needs("a"))},
			RunFailed, []string{"a: success", "b: failed", "c: success"}},
		{"needs that fail skip what needs them, and so on", []*pipeline.Job{
			job("a", fail), job("b", pass, stage("two"), needs("a")), job("c", pass, stage("three"), needs("b"))},
			RunFailed, []string{"a: failed", "b: skipped", "c: skipped"}},
		{"no needs at all", []*pipeline.Job{job("a", fail), job("b", pass, stage("two"), needs())},
			RunFailed, []string{"a: failed", "b: success"}},
		{"a need that is not in the plan", []*pipeline.Job{job("b", pass, needs("elsewhere"))},
			RunSuccess, []string{"b: success"}},
		{"needs of a matrix wait for all of it", []*pipeline.Job{
			job("t: [1]", pass, func(j *pipeline.Job) { j.BaseName = "t" }), job("t: [2]", fail, func(j *pipeline.Job) { j.BaseName = "t" }),
			job("d", pass, stage("deploy"), needs("t"))},
			RunFailed, []string{"t: [1]: success", "t: [2]: failed", "d: skipped"}},
		{"a manual job that may be left out", []*pipeline.Job{
			job("a", pass), job("m", pass, when(pipeline.Manual), allowFailure()), job("z", pass, stage("last"))},
			RunSuccess, []string{"a: success", "m: manual", "z: success"}},
		{"what needs it is skipped, and holds nothing up", []*pipeline.Job{
			job("m", pass, when(pipeline.Manual), allowFailure()), job("n", pass, stage("deploy"), needs("m")), job("z", pass, stage("last"))},
			RunSuccess, []string{"m: manual", "n: skipped", "z: success"}},
		{"what always runs does not wait for it", []*pipeline.Job{
			job("m", pass, when(pipeline.Manual), allowFailure()), job("z", pass, stage("last"), needs("m"), when(pipeline.Always))},
			RunSuccess, []string{"m: manual", "z: success"}},
		{"what needs a manual job that blocks waits", []*pipeline.Job{
			job("m", pass, when(pipeline.Manual)), job("z", pass, stage("last"), needs("m"))},
			RunWaiting, []string{"m: manual", "z: created"}},
		{"a manual job that blocks", []*pipeline.Job{
			job("a", pass), job("m", pass, stage("deploy"), when(pipeline.Manual)), job("z", pass, stage("last"))},
			RunWaiting, []string{"a: success", "m: manual", "z: created"}},
		{"a manual job after a failure", []*pipeline.Job{job("a", fail), job("m", pass, stage("deploy"), when(pipeline.Manual))},
			RunFailed, []string{"a: failed", "m: skipped"}},
		{"a manual job beside a failure", []*pipeline.Job{job("a", fail), job("m", pass, when(pipeline.Manual))},
			RunFailed, []string{"a: failed", "m: manual"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			p.want(p.run(tt.jobs...), tt.status, tt.want...)
		})
	}
}

func TestJobsRunAtOnce(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	dir := t.TempDir()
	// Each waits for the other.
	meet := func(own, other string) string {
		return "touch " + filepath.Join(dir, own) + "; while [ ! -e " + filepath.Join(dir, other) + " ]; do sleep 0.02; done"
	}
	p.want(p.run(job("a", meet("a", "b")), job("b", meet("b", "a"))), RunSuccess, "a: success", "b: success")
}

func TestOneJobAtATime(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.Jobs = 1
	p.want(p.run(exclusive(t, "a"), exclusive(t, "b"), exclusive(t, "c")), RunSuccess, "a: success", "b: success", "c: success")
}

// TestJobsStartInOrder runs more jobs than may run at once.
func TestJobsStartInOrder(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.Jobs = 1
	var want, got []string
	var jobs []*pipeline.Job
	for i := range 12 {
		name := fmt.Sprintf("job %02d", i)
		want, jobs = append(want, name), append(jobs, job(name, "true"))
	}
	p.options.Observe = func(u Update) {
		if u.Kind == JobStarted {
			got = append(got, u.Job.Name)
		}
	}
	p.run(jobs...)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// exclusive makes a job that fails if another one of the same test runs at the same time.
func exclusive(t *testing.T, name string, options ...func(*pipeline.Job)) *pipeline.Job {
	lock := filepath.Join(os.TempDir(), "exclusive-"+strings.ReplaceAll(t.Name(), "/", "-"))
	return job(name, "mkdir "+lock+"; sleep 0.2; rmdir "+lock, options...)
}

func TestResourceGroup(t *testing.T) {
	t.Parallel()
	group := func(j *pipeline.Job) { j.ResourceGroup = "production/eu" }
	p := newProject(t, nil)
	results := make(chan Result)
	// Two runs of the same project, as two processes would.
	for range 2 {
		go func() {
			r, err := Run(context.Background(), planOf(exclusive(t, "a", group), exclusive(t, "b", group)), p.options)
			if err != nil {
				t.Error(err)
			}
			results <- r
		}()
	}
	first, second := <-results, <-results
	p.want(first, RunSuccess, "a: success", "b: success")
	p.want(second, RunSuccess, "a: success", "b: success")
	if first.Run == second.Run {
		t.Errorf("both are run %d", first.Run)
	}
	if !p.said(JobWaiting, "waits for the resource group production/eu") {
		t.Error("nothing was said about waiting")
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		retry    pipeline.Retry
		script   string
		status   Status
		attempts int
	}{
		{"until it succeeds", pipeline.Retry{Max: 2}, `[ "$n" = 2 ]`, Success, 2},
		{"no more than the maximum", pipeline.Retry{Max: 2}, "false", Failed, 3},
		{"for a kind of failure", pipeline.Retry{Max: 1, When: []string{"script_failure"}}, "false", Failed, 2},
		{"not for another", pipeline.Retry{Max: 1, When: []string{"runner_system_failure"}}, "false", Failed, 1},
		{"for an exit code", pipeline.Retry{Max: 1, ExitCodes: []int{7}}, "exit 7", Failed, 2},
		{"not for another exit code", pipeline.Retry{Max: 1, ExitCodes: []int{7}}, "exit 8", Failed, 1},
		{"either is enough", pipeline.Retry{Max: 1, When: []string{"script_failure"}, ExitCodes: []int{7}}, "exit 8", Failed, 2},
		{"always", pipeline.Retry{Max: 1, When: []string{"always"}}, "false", Failed, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			counter := filepath.Join(t.TempDir(), "n")
			r := p.run(job("j", "echo $CI_JOB_ID >>"+counter+"; n=$(wc -l <"+counter+"); "+tt.script, func(j *pipeline.Job) { j.Retry = &tt.retry }))
			s := state(r, "j")
			if s.Status != tt.status || s.Attempts != tt.attempts {
				t.Errorf("got %s after %d attempts, want %s after %d", s.Status, s.Attempts, tt.status, tt.attempts)
			}
			ids, _ := os.ReadFile(counter)
			unique := map[string]bool{}
			for _, id := range strings.Fields(string(ids)) {
				unique[id] = true
			}
			if len(unique) != tt.attempts {
				t.Errorf("attempts have the ids %q", ids)
			}
			logs, _ := filepath.Glob(filepath.Join(r.Dir, jobsFolder, "j", "log*"))
			if len(logs) != tt.attempts {
				t.Errorf("there are the logs %v", logs)
			}
		})
	}
}

func TestDelayed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		noDelay bool
		startIn time.Duration
		least   time.Duration
	}{{"waits", false, 300 * time.Millisecond, 300 * time.Millisecond}, {"at once if wished", true, time.Hour, 0}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			p.options.NoDelay = tt.noDelay
			r := p.run(job("j", "true", when(pipeline.Delayed), func(j *pipeline.Job) { j.StartIn = tt.startIn }))
			p.want(r, RunSuccess, "j: success")
			if r.Duration < tt.least {
				t.Errorf("it took %s", r.Duration)
			}
		})
	}
}

func TestConfirm(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		yes    bool
		status RunStatus
		want   []string
	}{
		{"yes", true, RunSuccess, []string{"build: success", "deploy: success", "after: success"}},
		{"no", false, RunWaiting, []string{"build: success", "deploy: manual", "after: created"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			var asked []string
			p.options.Confirm = func(_ context.Context, j JobState) (bool, error) {
				asked = append(asked, j.Confirmation)
				return tt.yes, nil
			}
			r := p.run(
				job("build", "echo DIGEST=sha256:ab12 >build.env", artifacts(pipeline.Artifacts{Reports: map[string]any{"dotenv": "build.env"}})),
				job("deploy", "echo deploying $DIGEST", stage("deploy"), when(pipeline.Manual), needs("build"), func(j *pipeline.Job) {
					j.ManualConfirmation = "Roll $CI_PROJECT_PATH $DIGEST out?"
				}),
				job("after", "true", stage("last"), needs("deploy")))
			p.want(r, tt.status, tt.want...)
			if diff := cmp.Diff([]string{"Roll acme/app sha256:ab12 out?"}, asked); diff != "" {
				t.Errorf("questions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestApproveBeforehand(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.Approve = []string{"m"}
	p.want(p.run(job("m", "true", when(pipeline.Manual)), job("z", "true", stage("last"))), RunSuccess, "m: success", "z: success")

	p.options.Approve = []string{"absent"}
	if _, err := Run(context.Background(), planOf(job("m", "true", when(pipeline.Manual))), p.options); err == nil || !strings.Contains(err.Error(), "manual jobs of this pipeline: m") {
		t.Errorf("got %v", err)
	}
	p.options.Approve = []string{"a"}
	if _, err := Run(context.Background(), planOf(job("a", "true")), p.options); err == nil || !strings.Contains(err.Error(), "not a manual job") {
		t.Errorf("got %v", err)
	}
}

func TestAutoCancel(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	plan := planOf(job("bad", "sleep 0.3; false"), job("long", "sleep 100"))
	plan.AutoCancel = &pipeline.AutoCancel{OnJobFailure: "all"}
	r := p.runPlan(plan)
	p.want(r, RunFailed, "bad: failed", "long: canceled")
}

func TestChildPipeline(t *testing.T) {
	t.Parallel()
	trigger := func(strategy string, child *pipeline.Plan, unknown string) func(*pipeline.Job) {
		return func(j *pipeline.Job) {
			j.Script, j.Trigger = nil, &pipeline.TriggerSpec{Strategy: strategy, Child: child, ChildUnknown: unknown}
		}
	}
	for _, tt := range []struct {
		name   string
		bridge func(*pipeline.Job)
		status RunStatus
		want   []string
	}{
		{"not waited for", trigger("", planOf(job("c", "sleep 0.1; false")), ""), RunSuccess, []string{"t: success", "t / c: failed", "z: success"}},
		{"waited for", trigger("mirror", planOf(job("c", "true")), ""), RunSuccess, []string{"t: success", "t / c: success", "z: success"}},
		{"waited for, and it fails", trigger("depend", planOf(job("c", "false")), ""), RunFailed, []string{"t: failed", "t / c: failed", "z: skipped"}},
		{"waited for, and it waits", trigger("depend", planOf(job("c", "true", when(pipeline.Manual))), ""), RunWaiting, []string{"t: running", "t / c: manual", "z: created"}},
		{"no child", trigger("depend", nil, "ci/child.yml is not there"), RunFailed, []string{"t: failed", "z: skipped"}},
		{"another project", func(j *pipeline.Job) { j.Trigger = &pipeline.TriggerSpec{Project: "acme/other"} }, RunSuccess, []string{"t: success", "z: success"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			r := p.run(job("t", "", tt.bridge), job("z", "true", stage("last")))
			p.want(r, tt.status, tt.want...)
		})
	}
	t.Run("variables go to the child", func(t *testing.T) {
		t.Parallel()
		p := newProject(t, nil)
		plan := planOf(
			job("build", "echo V=1.2 >v.env", artifacts(pipeline.Artifacts{Reports: map[string]any{"dotenv": "v.env"}})),
			job("t", "", stage("deploy"), needs("build"), variables("VERSION=v$V"), trigger("mirror", planOf(job("c", "echo got $VERSION")), "")))
		r := p.runPlan(plan)
		p.wantLog(r, "t / c", "got v1.2")
	})
}

// TestArtifactsOfTheParent: a child pipeline, and one below it, get artifacts and dotenv variables of the pipeline that started them.
func TestArtifactsOfTheParent(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{".gitlab-ci.yml": `
stages: [build, deploy]
gen:
  stage: build
  script: [echo made by $CI_PIPELINE_ID >made.txt, echo V=1.2 >v.env]
  artifacts: {paths: [made.txt], reports: {dotenv: v.env}}
broken: {stage: build, script: ["false"], allow_failure: true}
start:
  stage: deploy
  variables: {PARENT_PIPELINE_ID: $CI_PIPELINE_ID}
  trigger: {include: child.yml, strategy: depend}
`, "child.yml": `
use:
  needs: [{pipeline: $PARENT_PIPELINE_ID, job: gen}]
  script:
    - echo "parent=[$PARENT_PIPELINE_ID] upstream=[$CI_UPSTREAM_PIPELINE_ID] source=[$CI_PIPELINE_SOURCE]"
    - '[ "$CI_PIPELINE_ID" != "$PARENT_PIPELINE_ID" ] && [ "$CI_PIPELINE_ID" = "$CI_PIPELINE_IID" ] && echo own id'
    - git rev-parse -q --verify refs/pipelines/$CI_PIPELINE_ID >/dev/null && echo own ref
    - cat made.txt; echo "V is $V"
conditional: {rules: [{if: $PARENT_PIPELINE_ID}], script: ['[ ! -e made.txt ] && echo nothing fetched'], needs: []}
without: {needs: [{pipeline: $PARENT_PIPELINE_ID, job: gen, artifacts: false}], script: ['[ ! -e made.txt ]']}
failed: {needs: [{pipeline: $PARENT_PIPELINE_ID, job: broken}], script: [echo], allow_failure: true}
absent: {needs: [{pipeline: "4711", job: gen}], script: [echo], allow_failure: true}
own: {needs: [{pipeline: $CI_PIPELINE_ID, job: conditional}], script: [echo], allow_failure: true}
below: {variables: {TOP: $PARENT_PIPELINE_ID, MIDDLE: $CI_PIPELINE_ID}, trigger: {include: below.yml, strategy: depend}, stage: deploy}
`, "below.yml": `
deep:
  needs: [{pipeline: $TOP, job: gen}]
  script: [cat made.txt, '[ "$MIDDLE" = "$CI_UPSTREAM_PIPELINE_ID" ] && [ "$MIDDLE" != "$TOP" ] && echo below the middle']
`})
	loaded, err := pipeline.Load(os.DirFS(p.dir), pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := loaded.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if err != nil {
		t.Fatal(err)
	}
	r := p.runPlan(plan)
	p.want(r, RunSuccess, "gen: success", "broken: failed (allowed)", "start: success", "start / use: success", "start / conditional: success",
		"start / without: success", "start / failed: failed (allowed)", "start / absent: failed (allowed)", "start / own: failed (allowed)",
		"start / below: success", "start / below / deep: success")
	p.wantLog(r, "start / use", "[slipway] Artifacts: from gen", "parent=[1] upstream=[1] source=[parent_pipeline]", "own id", "own ref", "made by 1", "V is 1.2")
	p.wantLog(r, "start / conditional", "nothing fetched")
	p.wantLog(r, "start / below / deep", "made by 1", "below the middle")
	for _, name := range []string{"start / failed", "start / absent", "start / own"} {
		if s := state(r, name); s.Failure != DependencyFailure {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	plan := planOf(job("build", "true", stage("build")), job("lint", "true"), job("unit", "true", needs("build")), job("deploy", "true", stage("deploy"), needs("unit")),
		job("use", "true", stage("deploy"), func(j *pipeline.Job) {
			j.Needs = []pipeline.Need{{Pipeline: "$PARENT", Job: "lint", Artifacts: true}, {Project: "acme/other", Job: "unit", Artifacts: true}}
		}))
	for _, tt := range []struct {
		name                string
		names, want, stages []string
	}{
		{"all", nil, []string{"build", "lint", "unit", "deploy", "use"}, []string{"build", "test", "deploy"}},
		{"by stage", []string{"lint"}, []string{"build", "lint"}, []string{"build", "test"}},
		{"by needs", []string{"deploy"}, []string{"build", "unit", "deploy"}, []string{"build", "test", "deploy"}},
		{"by needs in other pipelines", []string{"use"}, []string{"use"}, []string{"deploy"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Select(plan, tt.names)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, j := range got.Jobs {
				names = append(names, j.Name)
			}
			if diff := cmp.Diff([][]string{tt.want, tt.stages}, [][]string{names, got.Stages}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := Select(plan, []string{"absent"}); err == nil {
		t.Error("a job that is not there was selected")
	}
}

func TestGeneratedChildPipeline(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{".gitlab-ci.yml": `
variables: {NAME: gen.yml}
generate:
  stage: build
  script:
    - |
      cat >gen.yml <<'END'
      child: {script: ['echo "from $FROM"']}
      later: {stage: deploy, when: manual, allow_failure: false, script: [echo later]}
      END
  artifacts: {paths: [gen.yml]}
start: {variables: {FROM: the parent}, trigger: {include: [{artifact: $NAME, job: generate}, {local: more.yml}], strategy: depend}}
missing: {trigger: {include: [{artifact: gone.yml, job: generate}]}, allow_failure: true}
before: {script: [echo]}
end: {stage: deploy, script: [echo end]}
`, "more.yml": "more: {script: [echo more]}\n"})
	loaded, err := pipeline.Load(os.DirFS(p.dir), pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := loaded.Plan(context.Background(), pipeline.Event{Source: pipeline.Push, Branch: "main"})
	if err != nil {
		t.Fatal(err)
	}
	selected, err := Select(plan, []string{"start", "missing", "end"})
	if err != nil {
		t.Fatal(err)
	}
	p.options.ChildPlan = loaded.ChildPlan
	r := p.runPlan(selected)
	p.want(r, RunWaiting, "generate: success", "start: running", "start / child: success", "start / more: success",
		"start / later: manual", "missing: failed (allowed)", "before: success", "end: created")
	p.wantLog(r, "start / child", "from the parent")
	if text := state(r, "missing").Error; !strings.Contains(text, "the artifacts of generate have no file gone.yml") {
		t.Errorf("missing: %s", text)
	}
	if plan.Job("start").Trigger.Child != nil {
		t.Error("the caller's plan was changed")
	}
	r, err = Resume(context.Background(), 0, "", p.options)
	if err != nil {
		t.Fatal(err)
	}
	p.want(r, RunSuccess, "generate: success", "start: success", "start / child: success", "start / more: success",
		"start / later: success", "missing: failed (allowed)", "before: success", "end: success")
}
