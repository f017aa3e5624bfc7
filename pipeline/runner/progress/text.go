// Package progress reports the progress of a run, to people and to programs.
package progress

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline/render"
	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// tailLines is the number of lines of a failed job's log that are shown.
const tailLines = 20

// Text writes lines for people: a line when a job starts and when it ends, the end of its log if it failed, a summary.
type Text struct {
	w       io.Writer
	palette render.Palette
	hints   Hints
}

// Hints are the advice of a program to its user.
type Hints struct {
	// Approve returns the command that approves a job: one that blocks the run, or one that may be left.
	Approve func(job string, blocking bool) string
	// Deploy says how a job that deploys starts without approval.
	Deploy string
}

// NewText returns a Text that writes to w.
func NewText(w io.Writer, palette render.Palette, hints Hints) *Text {
	return &Text{w: w, palette: palette, hints: hints}
}

// Observe writes an update; see [runner.Options].
func (t *Text) Observe(u runner.Update) {
	switch u.Kind {
	case runner.RunStarted:
		t.printf("Run %d: %s", u.Run, u.Message)
	case runner.JobStarted:
		t.printf("%s %s", t.palette.Bold("▶"), u.Job.Name)
	case runner.JobWaiting:
		t.printf("%s %s %s", t.palette.Dim("…"), u.Job.Name, u.Message)
	case runner.JobOutput:
		if line := plain(u.Message); line != "" || u.Message == "" {
			t.printf("%s %s", t.palette.Dim(u.Job.Name+" |"), line)
		}
	case runner.JobRetried:
		t.printf("%s %s %s: %s", t.palette.Yellow("↻"), u.Job.Name, seconds(u.Job.Duration()), u.Message)
	case runner.JobFinished:
		t.finished(u)
	case runner.JobGate:
		if u.Job.Held {
			t.printf("%s %s deploys, and waits for approval: %s", t.palette.Yellow("⏸"), u.Job.Name, t.hints.Deploy)
		} else {
			t.printf("%s %s is manual", t.palette.Yellow("⏸"), u.Job.Name)
		}
	case runner.Note:
		if u.Job != nil {
			u.Message = u.Job.Name + ": " + u.Message
		}
		t.printf("%s %s", t.palette.Dim("·"), u.Message)
	case runner.RunFinished:
		t.summary(*u.Result)
	}
}

func (t *Text) finished(u runner.Update) {
	job := u.Job
	switch {
	case job.Status == runner.Success:
		t.printf("%s %s %s%s", t.palette.Green("✔"), job.Name, seconds(job.Duration()), details(*job))
	case job.Status == runner.Failed && job.Allowed:
		t.printf("%s %s %s: %s (allowed to fail)", t.palette.Yellow("!"), job.Name, seconds(job.Duration()), job.Error)
		t.where(u.Log)
	case job.Status == runner.Failed:
		t.printf("%s %s %s: %s", t.palette.Red("✘"), job.Name, seconds(job.Duration()), job.Error)
		t.tail(u.Log)
		t.where(u.Log)
	case job.Status == runner.Canceled:
		t.printf("%s %s canceled", t.palette.Yellow("■"), job.Name)
	case job.Status == runner.Skipped:
		t.printf("%s %s", t.palette.Dim("–"), t.palette.Dim(job.Name+" skipped"))
	}
}

// details returns the coverage and the environment of a successful job.
func details(job runner.JobState) string {
	var b strings.Builder
	if job.Coverage != "" {
		fmt.Fprintf(&b, ", coverage %s %%", job.Coverage)
	}
	if e := job.Environment; e != nil {
		fmt.Fprintf(&b, ", %s", describe(*e))
	}
	return b.String()
}

func describe(e runner.Deployment) string {
	text := "environment " + e.Name
	if e.Action != "start" {
		text += " (" + e.Action + ")"
	}
	if e.URL != "" {
		text += " " + e.URL
	}
	return text
}

func (t *Text) where(log string) {
	if _, err := os.Stat(log); err == nil {
		t.printf("  log: %s", log)
	}
}

// tail shows the end of a log.
func (t *Text) tail(path string) {
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close()
	for _, line := range lastLines(file, tailLines) {
		t.printf("  %s %s", t.palette.Dim("|"), line)
	}
}

// marks are the parts of GitLab's logs that only its web page interprets: sections and colours.
var marks = lazyregexp.New("\x1b\\[[0-9;?]*[A-Za-z]|section_(start|end):[^\r\n]*\r?")

// plain returns a line of a log without marks; of a progress bar only the last state.
func plain(line string) string {
	line = marks().ReplaceAllString(strings.TrimRight(line, "\r\n"), "")
	return line[strings.LastIndexByte(line, '\r')+1:]
}

// lastLines returns the last lines of a log that are not empty.
func lastLines(r io.Reader, n int) []string {
	var lines []string
	reader := bufio.NewReader(r)
	for {
		line, err := reader.ReadString('\n')
		if line = plain(line); line != "" {
			lines = append(lines, line)
			lines = lines[max(0, len(lines)-n):]
		}
		if err != nil {
			return lines
		}
	}
}

func (t *Text) summary(r runner.Result) {
	count := map[runner.Status]int{}
	allowed := 0
	for _, j := range r.Jobs {
		count[j.Status]++
		if j.Allowed {
			allowed++
		}
	}
	var parts []string
	for _, p := range []struct {
		n    int
		text string
	}{
		{count[runner.Success], "passed"}, {count[runner.Failed] - allowed, "failed"}, {allowed, "failed and allowed to"},
		{count[runner.Skipped], "skipped"}, {count[runner.Canceled], "canceled"}, {count[runner.Manual], "manual"},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.text))
		}
	}
	head := map[runner.RunStatus]string{
		runner.RunSuccess: t.palette.Green("✔ passed"), runner.RunFailed: t.palette.Red("✘ failed"),
		runner.RunCanceled: t.palette.Yellow("■ canceled"), runner.RunWaiting: t.palette.Yellow("⏸ waits for approval"),
	}[r.Status]
	t.printf("")
	t.printf("Run %d %s after %s: %s", r.Run, head, seconds(r.Duration), strings.Join(parts, ", "))
	for _, j := range r.Jobs {
		switch {
		case j.Status == runner.Failed && !j.Allowed:
			t.printf("  %s %s: %s", t.palette.Red("✘"), j.Name, j.Error)
		case j.Environment != nil && j.Environment.Action != "verify" && j.Environment.Action != "access":
			t.printf("  %s", describe(*j.Environment))
		}
	}
	t.ignored(r)
	for _, j := range r.Jobs {
		switch {
		case j.Status != runner.Manual || r.Status == runner.RunFailed || r.Status == runner.RunCanceled:
		case j.Blocking:
			t.printf("%s waits for approval: %s", j.Name, t.hints.Approve(j.Name, true))
		default:
			t.printf("  %s can be run by hand: %s", j.Name, t.hints.Approve(j.Name, false))
		}
	}
}

// ignored counts the jobs that ran on this machine without what they ask for.
func (t *Text) ignored(r runner.Result) {
	var images, services int
	for _, j := range r.Jobs {
		if j.ImageIgnored {
			images++
		}
		if j.ServicesIgnored {
			services++
		}
	}
	for _, what := range []struct {
		n    int
		text string
	}{{images, "in the image that they name"}, {services, "with the services that they name"}} {
		switch {
		case what.n == 1:
			t.printf("  %s 1 job ran on this machine, not %s", t.palette.Yellow("!"), strings.NewReplacer("they name", "it names").Replace(what.text))
		case what.n > 1:
			t.printf("  %s %d jobs ran on this machine, not %s", t.palette.Yellow("!"), what.n, what.text)
		}
	}
}

func (t *Text) printf(format string, args ...any) { fmt.Fprintf(t.w, format+"\n", args...) }

// seconds writes a duration as people read it: 0.3s, 12.3s, 4m05s.
func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}
