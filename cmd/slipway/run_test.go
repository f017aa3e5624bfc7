package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// asSlipway is a variable with which the test binary is the command itself, for tests that need a process at a terminal.
const asSlipway = "SLIPWAY_TEST_IS_COMMAND"

// TestMain makes the test binary the supervisor of the jobs that its tests run.
func TestMain(m *testing.M) {
	if os.Getenv(asSlipway) != "" && (len(os.Args) < 2 || os.Args[1] != superviseCommand) {
		main()
		return
	}
	if len(os.Args) > 1 && os.Args[1] == superviseCommand {
		// Not os.Exit: a test binary that measures coverage would say in the job's log that it has nowhere to write it.
		syscall.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	leaveJob()
	os.Exit(m.Run())
}

// leaveJob removes what a job's environment says of its pipeline, so that commands answer the same in a job and at a desk. Nothing in
// the tests may ask for such a variable by os.Getenv: Go's test cache would compare it, and it is another one in each run.
func leaveJob() {
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "CI_") || strings.HasPrefix(name, "GITLAB_") || strings.HasPrefix(name, "SLIPWAY_") && !strings.HasPrefix(name, "SLIPWAY_REQUIRE_") {
			_ = os.Unsetenv(name) // fails for malformed names only
		}
	}
}

// A playground is a project with a configuration, and slipway in it.
type playground struct {
	t          *testing.T
	dir, cache string
}

func newPlayground(t *testing.T, configuration string) playground {
	t.Helper()
	p := playground{t: t, dir: t.TempDir(), cache: t.TempDir()}
	if err := os.WriteFile(filepath.Join(p.dir, ".gitlab-ci.yml"), []byte(configuration), 0o644); err != nil {
		t.Fatal(err)
	}
	initRepository(t, p.dir)
	return p
}

// slipway runs a command; what differs from run to run is replaced in its output.
func (p playground) slipway(args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, err bytes.Buffer
	code = run(ctx, append(args, "--directory", p.dir, "--cache-dir", p.cache), strings.NewReader(""), &out, &err)
	text := strings.ReplaceAll(out.String(), p.dir, "DIR")
	text = regexp.MustCompile(` \d+\.\d+s`).ReplaceAllString(text, " 0.1s")
	text = regexp.MustCompile(`at [0-9a-f]{8}`).ReplaceAllString(text, "at 01234567")
	return code, text, strings.ReplaceAll(err.String(), p.dir, "DIR")
}

func (p playground) want(code int, stdout string, args ...string) {
	p.t.Helper()
	gotCode, got, stderr := p.slipway(args...)
	if gotCode != code {
		p.t.Errorf("exit code %d, want %d\n%s", gotCode, code, stderr)
	}
	if diff := cmp.Diff(strings.TrimLeft(stdout, "\n"), got); diff != "" {
		p.t.Errorf("output (-want +got):\n%s%s", diff, stderr)
	}
}

const gated = `
build:
  script: echo DIGEST=sha256:ab12 >d.env
  artifacts: {reports: {dotenv: d.env}}
deploy-production:
  stage: deploy
  needs: [build]
  rules: [{when: manual, allow_failure: false}]
  manual_confirmation: Roll orders $DIGEST to production?
  environment: {name: production, url: https://orders.example.com}
  script: test "$DIGEST" = sha256:ab12
`

func TestRunToTheGateAndApprove(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, gated)
	p.want(0, `
Run 1: push main at 01234567, 2 jobs
▶ build
✔ build 0.1s
⏸ deploy-production is manual

Run 1 ⏸ waits for approval after 0.1s: 1 passed, 1 manual
deploy-production waits for approval: make approve
`, "run", "--approve-hint", "make approve")
	p.want(0, `
Run 1: push main at 01234567, 2 jobs
▶ deploy-production
✔ deploy-production 0.1s, environment production https://orders.example.com

Run 1 ✔ passed after 0.1s: 2 passed
  environment production https://orders.example.com
`, "approve", "deploy-production")
	code, _, stderr := p.slipway("approve", "deploy-production")
	if code != 2 || !strings.Contains(stderr, "deploy-production of run 1 was already approved") {
		t.Errorf("again: %d, %s", code, stderr)
	}
}

func TestRunApprovedBeforehand(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, gated)
	code, stdout, stderr := p.slipway("run", "--approve", "deploy-production")
	if code != 0 || !strings.Contains(stdout, "passed after 0.1s: 2 passed") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
}

func TestRunFails(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, `
lint: {script: [echo checking, "echo found: something >&2", exit 3]}
flaky: {script: "false", allow_failure: true}
deploy: {stage: deploy, script: "true"}
`)
	code, stdout, _ := p.slipway("run", "--jobs", "1")
	want := `
Run 1: push main at 01234567, 3 jobs
▶ lint
✘ lint 0.1s: exit code 3
  | [slipway] Checking out 01234567
  | $ echo checking
  | checking
  | $ echo found: something >&2
  | found: something
  | $ exit 3
  | [slipway] Job failed: exit code 3
  log: DIR/.slipway/runs/1/jobs/lint/log
▶ flaky
! flaky 0.1s: exit code 1 (allowed to fail)
  log: DIR/.slipway/runs/1/jobs/flaky/log
– deploy skipped

Run 1 ✘ failed after 0.1s: 1 failed, 1 failed and allowed to, 1 skipped
  ✘ lint: exit code 3
`
	stdout = regexp.MustCompile(`out [0-9a-f]{8}`).ReplaceAllString(stdout, "out 01234567")
	// Which of two jobs that are ready starts first is not said.
	if diff := cmp.Diff(sorted(want), sorted("\n"+stdout)); code != 1 || diff != "" {
		t.Errorf("exit code %d, output (-want +got):\n%s", code, diff)
	}
}

func sorted(text string) map[string]int {
	lines := map[string]int{}
	for line := range strings.Lines(text) {
		lines[line]++
	}
	return lines
}

func TestRunSelectedJobs(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, "a: {script: 'true'}\nb: {script: 'true'}\nc: {script: 'true', needs: [b]}\n")
	code, stdout, stderr := p.slipway("run", "c", "--verbose", "--jobs", "1")
	if code != 0 || !strings.Contains(stdout, "2 passed") || !strings.Contains(stdout, "c | $ true\n") {
		t.Errorf("%d\n%s%s", code, stdout, stderr)
	}
}

func TestRunAsJSON(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, gated)
	_, stdout, stderr := p.slipway("run", "--format", "json")
	var kinds []runner.Kind
	var last runner.Update
	for line := range strings.Lines(stdout) {
		last = runner.Update{}
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		kinds = append(kinds, last.Kind)
	}
	want := []runner.Kind{runner.RunStarted, runner.JobStarted, runner.JobFinished, runner.JobGate, runner.RunFinished}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s%s", diff, stderr)
	}
	if last.Result == nil || last.Result.Status != runner.RunWaiting {
		t.Errorf("the last line: %+v", last)
	}
	if strings.Contains(stdout, `"dotenv":[`) {
		t.Error("dotenv variables are in the output")
	}
}

func TestRunRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, configuration string
		args                []string
		code                int
		stderr              string
	}{
		{"an invalid configuration", "a: {script: 1, nonsense: 2}\n", nil, 2, ".gitlab-ci.yml:1"},
		{"broken YAML", "a: [\n", nil, 2, ".gitlab-ci.yml"},
		{"a job that is not there", "a: {script: 'true'}\n", []string{"b"}, 2, `no job "b"`},
		{"an approval of nothing", "a: {script: 'true'}\n", []string{"--approve", "b"}, 2, `there is no job "b" to approve`},
		{"a format that is none", "a: {script: 'true'}\n", []string{"--format", "xml"}, 2, "want text or json"},
		{"tools without a module", "a: {script: 'true'}\n", []string{"--tools", "nowhere"}, 2, "nowhere"},
		{"no pipeline for the event", "a: {script: 'true', rules: [{if: $CI_COMMIT_TAG}]}\n", nil, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlayground(t, tt.configuration)
			code, stdout, stderr := p.slipway(append([]string{"run"}, tt.args...)...)
			if code != tt.code || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("%d\n%s%s", code, stdout, stderr)
			}
		})
	}
	t.Run("no repository", func(t *testing.T) {
		t.Parallel()
		p := newPlayground(t, "a: {script: 'true'}\n")
		if err := os.RemoveAll(filepath.Join(p.dir, ".git")); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := p.slipway("run")
		if code != 2 || !strings.Contains(stderr, "not a git repository: run `git init` and commit") {
			t.Errorf("%d\n%s", code, stderr)
		}
	})
}

func TestApproveRefuses(t *testing.T) {
	t.Parallel()
	p := newPlayground(t, "a: {script: 'true'}\n")
	code, _, stderr := p.slipway("approve")
	if code != 2 || !strings.Contains(stderr, "there is no run yet: start one with `slipway run`") {
		t.Errorf("%d\n%s", code, stderr)
	}
}

func TestConfirmOn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		answer string
		want   bool
	}{{"y\n", true}, {"Yes\n", true}, {"n\n", false}, {"\n", false}, {"", false}} {
		t.Run(tt.answer, func(t *testing.T) {
			var out bytes.Buffer
			got, err := confirmOn(strings.NewReader(tt.answer), &out)(context.Background(), runner.JobState{Confirmation: "Roll out?"})
			if got != tt.want || err != nil || out.String() != "Roll out? [y/N] " {
				t.Errorf("%q: %v, %v, %q", tt.answer, got, err, out.String())
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	silent, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	defer write.Close()
	if _, err := confirmOn(silent, new(bytes.Buffer))(ctx, runner.JobState{}); err == nil {
		t.Error("a question that was interrupted got an answer")
	}
}
