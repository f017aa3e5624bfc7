package runner

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

var recordVariations = flag.Bool("record", false, "write down what a gitlab-runner does with the cases in "+variationsFolder)

// TestRecordVariations records, with -record, what GitLab's own runner makes of the variations. GITLAB_RUNNER is its path, RECORD_ONLY a
// pattern of cases.
func TestRecordVariations(t *testing.T) {
	if !*recordVariations {
		t.Skip("it writes to testdata: -record")
	}
	path, err := exec.LookPath(cmp.Or(os.Getenv("GITLAB_RUNNER"), "gitlab-runner"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(variationsFolder, cmp.Or(os.Getenv("RECORD_ONLY"), "*")+".txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			c := readRunnerCase(t, file)
			records := c.run(t, path)
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "runner.txt" })
			var text strings.Builder
			for _, name := range c.jobNames(records) {
				records[name].write(&text)
			}
			archive.Files = append(archive.Files, txtar.File{Name: "runner.txt", Data: []byte(text.String())})
			if err := os.WriteFile(file, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// jobNames are the names of the jobs in alphabetical order, so that a new recording differs where a job does.
func (*runnerCase) jobNames(records map[string]jobRecord) []string {
	var names []string
	for name := range records {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// write writes a record in the form of the section runner.txt.
func (r jobRecord) write(to *strings.Builder) {
	fmt.Fprintf(to, "== %s\nstatus %s reason %s exit %s attempts %s\n", r.name, r.status, r.reason, r.exit, r.attempts)
	for _, section := range []struct {
		name  string
		lines []string
	}{{"script", r.script}, {"after ", r.after}, {"file  ", r.files}, {"report", r.reports}} {
		for i, line := range section.lines {
			if i == maxCaseLines {
				break
			}
			runes := []rune(strings.Map(printable, controlSequence.ReplaceAllString(strings.ToValidUTF8(line, "?"), "")))
			fmt.Fprintf(to, "%s| %s\n", section.name, string(runes[:min(len(runes), maxCaseColumn)]))
		}
	}
	if r.warned {
		to.WriteString("note  | WARNING\n")
	}
}

// printable drops what an archive of text cannot hold.
func printable(r rune) rune {
	if r < ' ' && r != '\t' || r == 0x7f {
		return -1
	}
	return r
}

var (
	sectionMark = regexp.MustCompile(`section_(start|end):\d+:(\w+)(?:\[[^\]]*\])?\r?\x1b\[0K`)
	runnerNote  = regexp.MustCompile(`^(\x1b\[[0-9;]*[mK])*WARNING: `)
)

// readTrace reads the log of a gitlab-runner: what the scripts printed, and whether the runner itself warned.
func (r *jobRecord) readTrace(log string, names pathNames) {
	section, begin := "", 0
	for _, mark := range append(sectionMark.FindAllStringSubmatchIndex(log, -1), []int{len(log), len(log), 0, 0, 0, 0}) {
		if mark[4] < mark[5] && strings.HasPrefix(log[mark[4]:mark[5]], "section_script_step") {
			continue
		}
		r.traceSection(section, log[begin:mark[0]], names)
		section, begin = "", mark[1]
		if log[mark[2]:mark[3]] == "start" {
			section = log[mark[4]:mark[5]]
		}
	}
}

// traceSection reads a section of a log. Its first line is its title.
func (r *jobRecord) traceSection(section, text string, names pathNames) {
	_, body, _ := strings.Cut(text, "\n")
	if section == "" {
		body = text
	}
	for line := range strings.Lines(body) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case runnerNote.MatchString(line):
			r.warned = true
		case section == "step_script":
			r.script = append(r.script, names.replace(line))
		case section == "after_script" && !strings.Contains(line, "Running after script..."):
			r.after = append(r.after, names.replace(line))
		}
	}
}
