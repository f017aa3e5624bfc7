package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func environment(name string) func(*pipeline.Job) {
	return func(j *pipeline.Job) { j.Environment = &pipeline.Environment{Name: name} }
}

func TestJobsHaveAHomeOfTheirOwn(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	home := t.TempDir()
	key := filepath.Join(home, ".ssh", "id_rsa")
	if err := os.MkdirAll(filepath.Dir(key), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, []byte("the user's key"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.options.Env = append(p.options.Env, "HOME="+home, "SSH_AUTH_SOCK=/agent", "KUBECONFIG=/cluster", "DBUS_SESSION_BUS_ADDRESS=unix:/bus",
		"XDG_CONFIG_HOME="+home, "XDG_RUNTIME_DIR="+home, "GOCACHE=/tmp/warm")
	r := p.run(job("j", `echo secret >~/.ssh/id_rsa
echo "[$SSH_AUTH_SOCK$DBUS_SESSION_BUS_ADDRESS$NETRC][$KUBECONFIG][$GOCACHE]"
case "$HOME$XDG_CONFIG_HOME$XDG_DATA_HOME$XDG_STATE_HOME$XDG_CACHE_HOME$XDG_RUNTIME_DIR" in *`+home+`*) exit 1 ;; esac
echo kept >"$XDG_CACHE_HOME/cache"; test -w "$XDG_RUNTIME_DIR"`, variables("KUBECONFIG=of the job")),
		job("next", "cat ~/.cache/cache; ls ~/.ssh/id_rsa || echo none", needs("j")))
	p.want(r, RunSuccess, "j: success", "next: success")
	p.wantLog(r, "j", "[][of the job][/tmp/warm]")
	p.wantLog(r, "next", "kept", "none")
	if content, _ := os.ReadFile(key); string(content) != "the user's key" {
		t.Errorf("the user's key is now %q", content)
	}
	p.options.PassEnv = []string{"SSH_AUTH_SOCK", "HOME"}
	p.wantLog(p.run(job("j", `echo "[$SSH_AUTH_SOCK][$HOME]"`)), "j", "[/agent]["+home+"]")
}

// needsSandbox skips a test where bubblewrap does not work.
func needsSandbox(t *testing.T) {
	t.Helper()
	if err := exec.Command("bwrap", "--ro-bind", "/", "/", "true").Run(); err != nil {
		if os.Getenv("SLIPWAY_REQUIRE_BWRAP") != "" {
			t.Fatal(err)
		}
		t.Skip("bubblewrap does not work here: ", err)
	}
}

func TestSandbox(t *testing.T) {
	t.Parallel()
	needsSandbox(t)
	p := newProject(t, nil)
	// A folder that is not below /tmp, which jobs can write to; nor in this one: Go keeps no result of a test whose own folder changes.
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	outside, err := os.MkdirTemp(cache, "outside-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(outside) })
	user := filepath.Join(outside, "home")
	if err := os.MkdirAll(filepath.Join(user, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	p.options.Env = append(p.options.Env, "HOME="+user)
	script := job("j", "touch here ~/home /tmp/slipway-test-tmp $TMPDIR/x && rm /tmp/slipway-test-tmp; echo key >"+user+"/.ssh/key; cat ~/.ssh/key; git tag new; touch "+outside+"/file")
	r := p.run(script)
	p.want(r, RunFailed, "j: failed")
	p.wantLog(r, "j", "key")
	if log := p.log(r, "j"); !strings.Contains(log, "The job ran in a sandbox, in which only these folders are writable: ") {
		t.Errorf("no word of the sandbox:\n%s", log)
	}
	if _, err := os.Stat(filepath.Join(user, ".ssh", "key")); err == nil {
		t.Error("a job has written to the user's ~/.ssh")
	}
	p.options.Writable = []string{outside}
	p.want(p.run(script), RunSuccess, "j: success")
	p.options.Writable, p.options.NoSandbox = nil, true
	p.want(p.run(job("j", "touch "+outside+"/file")), RunSuccess, "j: success")
}

// A script that traps SIGTERM decides how it ends, in a sandbox too.
func TestSandboxPassesSignals(t *testing.T) {
	t.Parallel()
	needsSandbox(t)
	p := newProject(t, nil)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.options.Output = true
	p.options.Observe = func(u Update) {
		if u.Kind == JobOutput && u.Message == "ready" {
			cancel()
		}
	}
	result, err := Run(ctx, planOf(job("j", "trap 'echo trapped; exit 0' TERM; echo ready; while :; do sleep 0.1; done")), p.options)
	if err != nil {
		t.Fatal(err)
	}
	p.wantLog(result, "j", "trapped")
}

func TestDeploymentsWaitForAPerson(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	plan := func() *pipeline.Plan {
		return planOf(job("review", "true", environment("review/x")), job("stop", "true", func(j *pipeline.Job) {
			j.Environment = &pipeline.Environment{Name: "staging", Action: "stop"}
		}), job("deploy", "echo deployed", environment("staging"), stage("deploy")), job("smoke", "true", stage("smoke")))
	}
	r := p.runPlan(plan())
	p.want(r, RunWaiting, "review: success", "stop: success", "deploy: manual", "smoke: created")
	if s := state(r, "deploy"); !s.Held || !s.Blocking || s.Confirmation != "deploy deploys to staging. Run it?" {
		t.Errorf("got %+v", s)
	}
	r, err := Resume(context.Background(), 0, "", p.options)
	if err != nil {
		t.Fatal(err)
	}
	p.want(r, RunSuccess, "review: success", "stop: success", "deploy: success", "smoke: success")

	for name, change := range map[string]func(*Options){
		"allowed": func(o *Options) { o.Deploy = true }, "named": func(o *Options) { o.Named = []string{"deploy"} },
		"approved":  func(o *Options) { o.Approve = []string{"deploy"} },
		"confirmed": func(o *Options) { o.Confirm = func(context.Context, JobState) (bool, error) { return true, nil } },
	} {
		t.Run(name, func(t *testing.T) {
			options := p.options
			change(&options)
			r, err := Run(context.Background(), plan(), options)
			if err != nil {
				t.Fatal(err)
			}
			if r.Status != RunSuccess {
				t.Errorf("%s: %s", name, r.Status)
			}
		})
	}
}

// TestInvalidEnvironmentName: the branch and the variable are what makes a name invalid that was valid in the configuration.
func TestInvalidEnvironmentName(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{".gitlab-ci.yml": `
stages: [build, deploy, last]
build: {stage: build, script: [echo build]}
review: {stage: deploy, script: [echo deployed], environment: {name: review/$CI_COMMIT_REF_NAME}, retry: 2}
slug: {stage: deploy, script: [echo deployed], environment: {name: review/$CI_COMMIT_REF_SLUG}}
unset: {stage: deploy, script: [echo deployed], environment: review/$NOT_SET, allow_failure: true}
manual: {stage: deploy, script: [echo deployed], environment: review/$NOT_SET, when: manual}
long: {stage: deploy, script: [echo deployed], environment: $LONG, allow_failure: true, variables: {LONG: "` + strings.Repeat("e", 256) + `"}}
next: {stage: last, script: [echo next]}
cleanup: {stage: last, script: [echo cleanup], when: on_failure}
`})
	loaded, err := pipeline.Load(os.DirFS(p.dir), pipeline.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := loaded.Plan(t.Context(), pipeline.Event{Source: pipeline.Push, Branch: "feat/#12"})
	if err != nil {
		t.Fatal(err)
	}
	p.options.Deploy = true
	r := p.runPlan(plan)
	p.want(r, RunFailed, "build: success", "review: failed", "slug: success", "unset: failed (allowed)", "manual: failed (allowed)",
		"long: failed (allowed)", "next: skipped", "cleanup: success")
	for name, environment := range map[string]string{"review": "review/feat/#12", "unset": "review/", "manual": "review/"} {
		t.Run(name, func(t *testing.T) {
			s := state(r, name)
			if s.Failure != EnvironmentFailure || s.Attempts != 0 || !strings.Contains(s.Error, strconv.Quote(environment)) || s.Environment != nil {
				t.Errorf("%s: %+v", name, s)
			}
		})
	}
}

func TestImagesNeedAnEngine(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.ContainerEngine = filepath.Join(t.TempDir(), "none")
	image := inImage(pipeline.Image{Name: "golang"})
	_, err := Run(context.Background(), planOf(job("here", "true"), job("there", "true", image), job("later", "true", image, when(pipeline.Manual))), p.options)
	missing, is := errors.AsType[*NoEngineError](err)
	if !is || strings.Join(missing.Jobs, " ") != "there" {
		t.Fatalf("got %v", err)
	}
	if runs, _ := History(p.dir); len(runs) != 0 {
		t.Errorf("the refused run is kept: %v", runs)
	}
	p.options.Executor = "shell"
	r := p.run(job("here", "true"), job("there", "true", image, func(j *pipeline.Job) { j.Services = []pipeline.Image{{Name: "postgres"}} }))
	if s := state(r, "there"); s.Status != Success || !s.ImageIgnored || !s.ServicesIgnored || state(r, "here").ImageIgnored {
		t.Errorf("got %+v", s)
	}
}

func TestNamedJobs(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	instance := func(i int) *pipeline.Job {
		return job(fmt.Sprintf("deploy %d/2", i), "cat out", stage("deploy"), when(pipeline.Manual), func(j *pipeline.Job) { j.BaseName = "deploy" })
	}
	plan := planOf(job("build", "echo made >out; echo ran >>$LOG", artifacts(pipeline.Artifacts{Paths: []string{"out"}})), job("other", "true", stage("other")),
		instance(1), instance(2), job("last", "true", stage("last")))
	selected, err := Select(plan, []string{"deploy"})
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	for _, j := range plan.Jobs {
		j.Variables = []pipeline.Variable{{Key: "LOG", Value: log}}
	}
	p.options.Named = []string{"deploy"}
	for range 2 {
		p.want(p.runPlan(selected), RunSuccess, "build: success", "other: success", "deploy 1/2: success", "deploy 2/2: success")
		p.options.Reuse = true
	}
	if content, _ := os.ReadFile(log); string(content) != "ran\n" {
		t.Errorf("build ran again: %q", content)
	}
	only, err := SelectOnly(plan, []string{"last"})
	if err != nil {
		t.Fatal(err)
	}
	p.want(p.runPlan(only), RunSuccess, "last: success")
}

func TestRetryRun(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	flag := filepath.Join(t.TempDir(), "flag")
	r := p.run(job("build", "date +%N >out; echo 1 >>"+flag+".built", artifacts(pipeline.Artifacts{Paths: []string{"out"}})),
		job("test", "echo stale >old; test -e "+flag+" && rm old", stage("test2"), artifacts(pipeline.Artifacts{Paths: []string{"old"}, When: "always"})),
		job("deploy", "cat out; test ! -e old", stage("deploy")))
	p.want(r, RunFailed, "build: success", "test: failed", "deploy: skipped")
	if err := os.WriteFile(flag, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Retry(context.Background(), 0, nil, p.options)
	if err != nil {
		t.Fatal(err)
	}
	p.want(r, RunSuccess, "build: success", "test: success", "deploy: success")
	if content, _ := os.ReadFile(flag + ".built"); string(content) != "1\n" {
		t.Errorf("build ran again: %q", content)
	}
	if _, err := Retry(context.Background(), 0, nil, p.options); err == nil || !strings.Contains(err.Error(), "in run 1 nothing failed") {
		t.Errorf("got %v", err)
	}
	if _, err := Retry(context.Background(), 0, []string{"nothing"}, p.options); err == nil || !strings.Contains(err.Error(), `run 1 has no job "nothing"`) {
		t.Errorf("got %v", err)
	}
	if r, err = Retry(context.Background(), 1, []string{"build"}, p.options); err != nil || r.Status != RunSuccess {
		t.Errorf("got %v, %v", r.Status, err)
	}
}

func TestHistoryAndClean(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.run(job("a", "echo one"))
	p.run(job("gate", "true", when(pipeline.Manual)))
	p.run(job("a", "false"))
	runs, err := History(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, past := range runs {
		got = append(got, fmt.Sprint(past.Run, " ", past.Status))
	}
	if want := "3 failed, 2 waiting, 1 success"; strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	past, err := Find(p.dir, 1)
	if err != nil {
		t.Fatal(err)
	}
	if content, _ := os.ReadFile(past.Log(past.Named("a")[0])); !strings.Contains(string(content), "one\n") {
		t.Errorf("the log: %q", content)
	}
	if _, err := Find(p.dir, 9); err == nil || !strings.Contains(err.Error(), "there is no run 9; runs that are kept: 1, 2, 3") {
		t.Errorf("got %v", err)
	}
	removed, err := Clean(CleanOptions{Dir: p.dir, CacheDir: p.options.CacheDir})
	if err != nil || fmt.Sprint(removed) != "[1 3]" {
		t.Errorf("removed %v, %v", removed, err)
	}
	if removed, err = Clean(CleanOptions{Dir: p.dir, CacheDir: p.options.CacheDir, Waiting: true, Caches: true}); err != nil || fmt.Sprint(removed) != "[2]" {
		t.Errorf("removed %v, %v", removed, err)
	}
}

func TestShell(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	plan := planOf(job("build", "echo made >out", artifacts(pipeline.Artifacts{Paths: []string{"out"}})),
		job("test", "echo $NAME; exit 4", stage("next"), variables("NAME=value")))
	terminal := func(typed string) (*Terminal, *os.File) {
		in := filepath.Join(t.TempDir(), "in")
		if err := os.WriteFile(in, []byte(typed), 0o600); err != nil {
			t.Fatal(err)
		}
		reader, err := os.Open(in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(in + ".out")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { reader.Close(); out.Close() })
		return &Terminal{In: reader, Out: out}, out
	}
	read := func(f *os.File) string { content, _ := os.ReadFile(f.Name()); return string(content) }

	first, out := terminal("pwd; cat out; exit 9\n")
	p.options.Terminal, p.options.ShellOnFailure = first, true
	r := p.runPlan(plan)
	p.want(r, RunFailed, "build: success", "test: failed")
	if got := read(out); state(r, "test").ExitCode != 4 || !strings.Contains(got, "acme/app\nmade\n") || !strings.Contains(got, "test failed with exit code 4") {
		t.Errorf("exit code %d, the terminal: %q", state(r, "test").ExitCode, got)
	}
	p.options.Terminal, out = terminal("cat out; echo $NAME; ls README; exit 3\n")
	if err := Shell(context.Background(), plan, "test", p.options); err != nil {
		t.Fatal(err)
	}
	if got := read(out); got != "made\nvalue\nREADME\n" {
		t.Errorf("the terminal: %q", got)
	}
	if runs, _ := History(p.dir); len(runs) != 1 {
		t.Errorf("runs: %+v", runs)
	}
}
