package progress

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

func at(seconds float64) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

func TestText(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(log, []byte(strings.Repeat("early\n", 30)+"section_start:1:x\r\x1b[0K\x1b[31mred\x1b[0m\n10%\r20%\n\nlast"), 0o644); err != nil {
		t.Fatal(err)
	}
	job := func(name string, status runner.Status, change func(*runner.JobState)) *runner.JobState {
		j := &runner.JobState{Name: name, Status: status, Started: at(0), Finished: at(12.34)}
		if change != nil {
			change(j)
		}
		return j
	}
	for _, tt := range []struct {
		name   string
		update runner.Update
		want   string
	}{
		{"run", runner.Update{Kind: runner.RunStarted, Run: 3, Message: "push main"}, "Run 3: push main\n"},
		{"start", runner.Update{Kind: runner.JobStarted, Job: job("lint", runner.Running, nil)}, "▶ lint\n"},
		{"wait", runner.Update{Kind: runner.JobWaiting, Job: job("lint", runner.Waiting, nil), Message: "starts in 5s"}, "… lint starts in 5s\n"},
		{"output", runner.Update{Kind: runner.JobOutput, Job: job("lint", runner.Running, nil), Message: "text"}, "lint | text\n"},
		{"an empty line of output", runner.Update{Kind: runner.JobOutput, Job: job("lint", runner.Running, nil)}, "lint | \n"},
		{"a bar in colours", runner.Update{Kind: runner.JobOutput, Job: job("lint", runner.Running, nil), Message: "10%\r\x1b[32m100%\x1b[0m\r"}, "lint | 100%\n"},
		{"the beginning of a section", runner.Update{Kind: runner.JobOutput, Job: job("lint", runner.Running, nil), Message: "\x1b[0Ksection_start:1:x[collapsed=true]\r\x1b[0KSetup"}, "lint | Setup\n"},
		{"the end of a section", runner.Update{Kind: runner.JobOutput, Job: job("lint", runner.Running, nil), Message: "\x1b[0Ksection_end:1:x\r\x1b[0K"}, ""},
		{"retry", runner.Update{Kind: runner.JobRetried, Job: job("lint", runner.Failed, nil), Message: "exit code 1; attempt 2 of 3"}, "↻ lint 12.3s: exit code 1; attempt 2 of 3\n"},
		{"success", runner.Update{Kind: runner.JobFinished, Job: job("test", runner.Success, func(j *runner.JobState) { j.Coverage = "83.4" })}, "✔ test 12.3s, coverage 83.4 %\n"},
		{"deployment", runner.Update{Kind: runner.JobFinished, Job: job("deploy", runner.Success, func(j *runner.JobState) {
			j.Finished = at(3725)
			j.Environment = &runner.Deployment{Name: "staging", URL: "https://s.example.com", Action: "start"}
		})}, "✔ deploy 1h02m, environment staging https://s.example.com\n"},
		{"stop of an environment", runner.Update{Kind: runner.JobFinished, Job: job("stop", runner.Success, func(j *runner.JobState) {
			j.Finished = at(65)
			j.Environment = &runner.Deployment{Name: "review/7", Action: "stop"}
		})}, "✔ stop 1m05s, environment review/7 (stop)\n"},
		{"failure", runner.Update{Kind: runner.JobFinished, Log: log, Job: job("gosec", runner.Failed, func(j *runner.JobState) { j.Error = "exit code 1" })},
			"✘ gosec 12.3s: exit code 1\n" + strings.Repeat("  | early\n", 17) + "  | red\n  | 20%\n  | last\n  log: " + log + "\n"},
		{"failure without a log", runner.Update{Kind: runner.JobFinished, Log: "absent", Job: job("t", runner.Failed, func(j *runner.JobState) { j.Error = "no child" })}, "✘ t 12.3s: no child\n"},
		{"allowed", runner.Update{Kind: runner.JobFinished, Job: job("vet", runner.Failed, func(j *runner.JobState) { j.Error, j.Allowed = "exit code 3", true })}, "! vet 12.3s: exit code 3 (allowed to fail)\n"},
		{"canceled", runner.Update{Kind: runner.JobFinished, Job: job("a", runner.Canceled, nil)}, "■ a canceled\n"},
		{"skipped", runner.Update{Kind: runner.JobFinished, Job: job("a", runner.Skipped, nil)}, "– a skipped\n"},
		{"gate", runner.Update{Kind: runner.JobGate, Job: job("deploy", runner.Manual, nil)}, "⏸ deploy is manual\n"},
		{"held", runner.Update{Kind: runner.JobGate, Job: job("deploy", runner.Manual, func(j *runner.JobState) { j.Held = true })}, "⏸ deploy deploys, and waits for approval: or deploy it\n"},
		{"note", runner.Update{Kind: runner.Note, Message: "tools: building x"}, "· tools: building x\n"},
		{"note of a job", runner.Update{Kind: runner.Note, Job: job("t", runner.Running, nil), Message: "not here"}, "· t: not here\n"},
		{"waiting", runner.Update{Kind: runner.RunFinished, Result: &runner.Result{Run: 3, Status: runner.RunWaiting, Duration: 90 * time.Second, Jobs: []runner.JobState{
			*job("a", runner.Success, nil), *job("deploy", runner.Manual, func(j *runner.JobState) { j.Blocking = true }), *job("stop", runner.Manual, nil),
		}}}, "\nRun 3 ⏸ waits for approval after 1m30s: 1 passed, 2 manual\ndeploy waits for approval: approve deploy\n  stop can be run by hand: approve stop\n"},
		{"failed", runner.Update{Kind: runner.RunFinished, Result: &runner.Result{Run: 3, Status: runner.RunFailed, Jobs: []runner.JobState{
			*job("a", runner.Failed, func(j *runner.JobState) { j.Error = "exit code 1" }), *job("b", runner.Failed, func(j *runner.JobState) { j.Allowed = true }),
			*job("c", runner.Skipped, nil), *job("d", runner.Canceled, nil), *job("deploy", runner.Manual, func(j *runner.JobState) { j.Blocking = true }),
		}}}, "\nRun 3 ✘ failed after 0.0s: 1 failed, 1 failed and allowed to, 1 skipped, 1 canceled, 1 manual\n  ✘ a: exit code 1\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			NewText(&out, render.Palette{}, Hints{Approve: func(job string, _ bool) string { return "approve " + job }, Deploy: "or deploy it"}).Observe(tt.update)
			if diff := cmp.Diff(tt.want, out.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestColours(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	NewText(&out, render.NewPalette(true), Hints{}).Observe(runner.Update{Kind: runner.JobFinished, Job: &runner.JobState{Name: "a", Status: runner.Success}})
	if out.String() != "\x1b[32m✔\x1b[0m a 0.0s\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	observe := JSON(&out)
	state := runner.JobState{Name: "a <b>", Status: runner.Success, Dotenv: []pipeline.Variable{{Key: "TOKEN", Value: "secret"}}}
	observe(runner.Update{Kind: runner.JobFinished, Job: &state})
	observe(runner.Update{Kind: runner.RunFinished, Result: &runner.Result{Status: runner.RunSuccess, Jobs: []runner.JobState{state}}})
	if strings.Contains(out.String(), "secret") || len(state.Dotenv) != 1 {
		t.Errorf("dotenv variables are told, or lost: %s", out.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `"name":"a <b>"`) {
		t.Fatalf("got %q", lines)
	}
	var last runner.Update
	if err := json.Unmarshal([]byte(lines[1]), &last); err != nil || last.Result.Status != runner.RunSuccess {
		t.Errorf("%v: %+v", err, last)
	}
}
