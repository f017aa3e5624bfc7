package runner

import (
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

func TestScript(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		job    *pipeline.Job
		status Status
		code   int
		lines  []string
	}{
		{"commands are shown, then run", job("j", "echo hello $CI"), Success, 0, []string{"$ echo hello $CI", "hello true", "[slipway] Job succeeded"}},
		{"before_script and script share a shell", &pipeline.Job{
			BeforeScript: []string{"greet() { echo \"hello $1\"; }", "cd /"}, Script: []string{"greet you", "pwd"},
		}, Success, 0, []string{"hello you", "/"}},
		{"the first failure ends the script", &pipeline.Job{Script: []string{"false", "echo not reached"}}, Failed, 1, []string{"!not reached\n[", "[slipway] Job failed: exit code 1"}},
		{"a failure in a pipeline counts", job("j", "false | true"), Failed, 1, nil},
		{"exit ends the script with its code", &pipeline.Job{Script: []string{"exit 7", "echo more"}}, Failed, 7, nil},
		{"exit 0 ends it well", &pipeline.Job{Script: []string{"exit 0", "false"}}, Success, 0, nil},
		{"a syntax error is a failure", job("j", "if true; then echo x"), Failed, 2, nil},
		{"several lines are one command", job("j", "echo one\necho two\n"), Success, 0, []string{"$ echo one # collapsed multi-line command", "one", "two"}},
		{"an empty command is none", &pipeline.Job{Script: []string{"", " \n", "echo x"}}, Success, 0, []string{"!$ \n", "x"}},
		{"quotes survive", job("j", `echo 'it'"'"'s' "$USER" '$USER' `+"`echo back`"), Success, 0, []string{"it's " + "someone $USER back"}},
		{"what it leaves in the background ends", job("j", "sleep 60 & sleep 60 &"), Success, 0, []string{"[slipway] Ended 2 processes that the script left behind"}},
		{"standard input is empty", job("j", "cat; echo done"), Success, 0, []string{"done"}},
		{"both outputs are in the log", job("j", "echo out; echo err >&2"), Success, 0, []string{"out", "err"}},
		{"an unset variable is empty", job("j", `echo "[$NOT_SET]"`), Success, 0, []string{"[]"}},
		{"steps of run are not for this machine", &pipeline.Job{Run: []any{}}, Failed, 0, []string{"[slipway] Job failed: the keyword run needs GitLab's step runner, which is not supported here"}},
		{"the caller's secrets stay outside", job("j", `echo "[$SECRET_OF_THE_CALLER][$PASSED_ON]"`), Success, 0, []string{"[][yes]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, nil)
			p.options.Env = append(p.options.Env, "USER=someone", "SECRET_OF_THE_CALLER=x", "PASSED_ON=yes")
			p.options.PassEnv = []string{"PASSED_ON"}
			tt.job.Name, tt.job.Stage, tt.job.When = "j", "test", pipeline.OnSuccess
			r := p.run(tt.job)
			if s := state(r, "j"); s.Status != tt.status || s.ExitCode != tt.code {
				t.Errorf("got %s with exit code %d, want %s with %d\n%s", s.Status, s.ExitCode, tt.status, tt.code, p.logs(r))
			}
			p.wantLog(r, "j", tt.lines...)
		})
	}
}

func TestLogIsBounded(t *testing.T) {
	t.Parallel()
	p := newProject(t, nil)
	p.options.MaxLog = 1 << 20
	r := p.run(&pipeline.Job{Name: "j", Stage: "test", When: pipeline.OnSuccess,
		Script: []string{"head -c 600000 /dev/zero", "head -c 600000 /dev/zero", "echo lost; touch done"}, AfterScript: []string{"echo lost, too; cat done"}})
	p.want(r, RunSuccess, "j: success")
	log := p.log(r, "j")
	if len(log) < 1<<20 || len(log) > 1<<20+1000 {
		t.Fatalf("the log has %d bytes", len(log))
	}
	_, end, _ := strings.Cut(log[1<<20:], "\n")
	want := "[slipway] WARNING: the log has reached the limit of 1 MB: further output is dropped\n[slipway] after_script\n[slipway] Job succeeded\n"
	if !strings.HasSuffix(end, want) {
		t.Errorf("the log ends with %q", end)
	}
}
