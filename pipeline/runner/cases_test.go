package runner

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
	"golang.org/x/tools/txtar"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
)

// caseTimeout is for all jobs of a case, on a machine that has other things to do.
const caseTimeout = 20 * time.Minute

// variationsFolder has cases of the kinds of those in testdata/runner. Those were recorded with GitLab Runner 18.11.4, these with a runner
// built from the source of 19.4.0; see TestRecordVariations.
var variationsFolder = filepath.Join("testdata", "variations")

// What a case keeps of a job's output.
const (
	maxCaseLines  = 120
	maxCaseColumn = 392
)

// TestRunnerCases runs the jobs of every case with the shell executor and compares them with what GitLab's own runner did.
// RUNNER_CASES_DIR names another folder of cases.
func TestRunnerCases(t *testing.T) {
	dirs := []string{filepath.Join("testdata", "runner"), variationsFolder}
	if dir := os.Getenv("RUNNER_CASES_DIR"); dir != "" {
		dirs = []string{dir}
	}
	var files []string
	for _, dir := range dirs {
		found, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no cases in %s (%v)", dir, err)
		}
		files = append(files, found...)
	}
	var mu sync.Mutex
	var total, agree int
	var differing []string
	t.Run("cases", func(t *testing.T) {
		for _, file := range files {
			t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
				t.Parallel()
				c := readRunnerCase(t, file)
				got := c.run(t, "")
				mu.Lock()
				defer mu.Unlock()
				for _, want := range c.jobs {
					total++
					diff, meant := c.compare(want, got[want.name])
					switch {
					case len(diff) == 0 && len(meant) == 0:
						agree++
						continue
					case len(diff) == 0:
						differing = append(differing, fmt.Sprintf("%s/%s differs as meant: %s", c.name, want.name, strings.Join(meant, "; ")))
					default:
						differing = append(differing, fmt.Sprintf("%s/%s differs", c.name, want.name))
						t.Errorf("%s (-GitLab's runner +slipway):\n%s", want.name, strings.Join(diff, "\n"))
					}
				}
			})
		}
	})
	slices.Sort(differing)
	for _, d := range differing {
		fmt.Println(d)
	}
	fmt.Printf("runner: %d of %d jobs agree\n", agree, total)
}

// A runnerCase is a repository, and what GitLab's runner made of its jobs.
type runnerCase struct {
	name      string
	files     []txtar.File
	variables []pipeline.Variable
	given     []pipeline.Variable
	message   string
	branch    string
	tag       string
	cancel    time.Duration
	ignore    *regexp.Regexp
	jobs      []jobRecord
}

// A jobRecord is what is compared of a job.
type jobRecord struct {
	name                           string
	status, reason, exit, attempts string
	script, after                  []string
	files, reports                 []string
	warned                         bool
}

func readRunnerCase(t *testing.T, file string) *runnerCase {
	t.Helper()
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c := &runnerCase{name: strings.TrimSuffix(filepath.Base(file), ".txtar"), message: "the commit", branch: "main"}
	for line := range strings.Lines(string(archive.Comment)) {
		c.option(t, strings.TrimSpace(line))
	}
	for _, f := range archive.Files {
		switch f.Name {
		case "runner.txt":
			c.jobs = readJobRecords(t, string(f.Data))
		case "variables.yml":
			if err := yaml.Unmarshal(f.Data, &c.variables); err != nil {
				t.Fatal(err)
			}
		default:
			c.files = append(c.files, f)
		}
	}
	return c
}

// option reads a line that describes the case, "@name value".
func (c *runnerCase) option(t *testing.T, line string) {
	t.Helper()
	name, value, _ := strings.Cut(line, " ")
	switch name {
	case "", "@about":
	case "@var":
		key, value, _ := strings.Cut(value, "=")
		c.given = append(c.given, pipeline.Variable{Key: key, Value: value})
	case "@message":
		c.message = value
	case "@branch":
		c.branch = value
	case "@tag":
		c.tag, c.branch = value, ""
	case "@cancel":
		seconds, err := strconv.Atoi(value)
		if err != nil {
			t.Fatal(err)
		}
		c.cancel = time.Duration(seconds) * time.Second
	case "@ignore":
		c.ignore = regexp.MustCompile(value)
	default:
		t.Errorf("%s: unknown option %s", c.name, line)
	}
}

var statusLine = regexp.MustCompile(`^status (\S+) reason (\S*) exit (-?\d+) attempts (\d+)$`)

// readJobRecords reads the section runner.txt of a case.
func readJobRecords(t *testing.T, text string) []jobRecord {
	t.Helper()
	var jobs []jobRecord
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, found := strings.CutPrefix(line, "== "); found {
			jobs = append(jobs, jobRecord{name: name})
			continue
		}
		if len(jobs) == 0 {
			continue
		}
		j := &jobs[len(jobs)-1]
		if m := statusLine.FindStringSubmatch(line); m != nil {
			j.status, j.reason, j.exit, j.attempts = m[1], m[2], m[3], m[4]
			continue
		}
		kind, rest, found := strings.Cut(line, "|")
		rest = strings.TrimPrefix(rest, " ")
		switch strings.TrimSpace(kind) {
		case "script":
			j.script = append(j.script, rest)
		case "after":
			j.after = append(j.after, rest)
		case "note":
			j.warned = true
		case "file":
			j.files = append(j.files, rest)
		case "report":
			j.reports = append(j.reports, rest)
		default:
			// A carriage return or the like in what the job printed: it belongs to the line before.
			if !found && strings.TrimSpace(line) != "" {
				t.Logf("%s: a line of an unknown kind: %s", j.name, line)
			}
		}
	}
	return jobs
}

// run runs the case's pipeline and records what its jobs did: here, or with a gitlab-runner.
func (c *runnerCase) run(t *testing.T, gitlabRunner string) map[string]jobRecord {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
	defer cancel()
	home, dir, cache, temp := filepath.Join(t.TempDir(), "home"), t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.Mkdir(home, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = filetree.Remove(cache) })
	sha := c.repository(t, dir, home)
	project, err := pipeline.Load(os.DirFS(dir), pipeline.Options{Variables: c.variables})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := project.Plan(ctx, pipeline.Event{
		Source: pipeline.Push, Branch: c.branch, Tag: c.tag, NewBranch: true, RefProtected: true, SHA: sha, CommitMessage: c.message, Variables: c.given,
	})
	if err != nil {
		t.Fatal(err)
	}
	supervisor, err := supervisor()
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	observe := func(u Update) {
		if c.cancel > 0 && u.Kind == JobStarted {
			once.Do(func() { go cancelAfter(ctx, cancel, u.Log, c.cancel) })
		}
	}
	result, err := Run(ctx, plan, Options{
		Dir: dir, CacheDir: cache, TempDir: temp, Executor: "shell", Deploy: true, Supervisor: supervisor, Jobs: 1, Observe: observe, Grace: 5 * time.Second,
		GitLabRunner: gitlabRunner,
		User:         User{Login: "ann", Name: "Ann", Email: "ann@example.com"},
		Env: []string{
			"HOME=" + home, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "LOGNAME=root", "USER=root", "SHELL=/bin/bash",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]jobRecord{}
	for _, state := range result.Jobs {
		records[state.Name] = recordOf(t, result, state, plan.Job(state.Name), pathNames{cache: cache, temp: temp})
	}
	return records
}

// cancelAfter cancels a run some time after the log shows that the script has begun, which takes long on a busy machine.
func cancelAfter(ctx context.Context, cancel func(), log string, after time.Duration) {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		if text, _ := os.ReadFile(log); bytes.Contains(text, []byte("$ ")) {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-poll.C:
		}
	}
	select {
	case <-ctx.Done():
	case <-time.After(after):
		cancel()
	}
}

// repository makes the case's repository and returns its commit.
func (c *runnerCase) repository(t *testing.T, dir, home string) string {
	t.Helper()
	run := func(name string, args ...string) string {
		command := exec.Command(name, args...)
		command.Dir = dir
		command.Env = append(os.Environ(), "HOME="+home,
			"GIT_AUTHOR_DATE=2026-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2026-01-01T00:00:00Z", "GIT_CONFIG_GLOBAL="+filepath.Join(home, "setup.gitconfig"))
		var stderr bytes.Buffer
		command.Stderr = &stderr
		out, err := command.Output()
		if err != nil {
			t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
		}
		return strings.TrimSpace(string(out))
	}
	config := "[user]\n\tname = Author\n\temail = author@example.com\n[protocol \"file\"]\n\tallow = always\n[init]\n\tdefaultBranch = main\n"
	if err := os.WriteFile(filepath.Join(home, "setup.gitconfig"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	run("git", "init", "--quiet", "--initial-branch=main")
	setup := ""
	for _, f := range c.files {
		if f.Name == "setup.sh" {
			setup = string(f.Data)
			continue
		}
		path := filepath.Join(dir, f.Name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, f.Data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if setup != "" {
		run("bash", "-ec", setup)
	}
	run("git", "add", "--all")
	run("git", "commit", "--quiet", "--allow-empty", "--message", c.message)
	if c.branch != "" && c.branch != "main" {
		run("git", "checkout", "--quiet", "-b", c.branch)
	}
	if c.tag != "" {
		run("git", "tag", c.tag)
	}
	return run("git", "rev-parse", "HEAD")
}

// recordOf makes the record of a job that has run.
func recordOf(t *testing.T, result Result, state JobState, job *pipeline.Job, names pathNames) jobRecord {
	t.Helper()
	folder := filepath.Join(result.Dir, jobsFolder, state.Slug)
	record := jobRecord{
		name: state.Name, status: string(state.Status), reason: string(state.Failure), exit: strconv.Itoa(state.ExitCode), attempts: strconv.Itoa(state.Attempts),
	}
	if state.Status == Canceled {
		record.reason = "job_canceled"
	}
	log, err := os.ReadFile(filepath.Join(folder, logFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if strings.Contains(string(log), "section_start:") && strings.Contains(string(log), "gitlab-runner") {
		record.readTrace(string(log), names)
		record.files, record.reports = listArtifacts(t, folder, names), listReports(t, folder, job)
		return record
	}
	section := &record.script
	for line := range strings.Lines(string(log)) {
		line = strings.TrimSuffix(line, "\n")
		if message, own := strings.CutPrefix(line, "[slipway] "); own {
			switch {
			case message == "hooks:pre_get_sources_script":
				// It belongs to the step that gets the sources.
				section = new([]string)
			case strings.HasPrefix(message, "Checking out"), strings.HasPrefix(message, "No sources"):
				section = &record.script
			case message == "after_script":
				section = &record.after
			case strings.HasPrefix(message, "WARNING:"):
				record.warned = true
			}
			continue
		}
		*section = append(*section, names.replace(line))
	}
	record.files = listArtifacts(t, folder, names)
	record.reports = listReports(t, folder, job)
	return record
}

// listArtifacts lists what a job left as artifacts, in the form of the cases.
func listArtifacts(t *testing.T, folder string, names pathNames) []string {
	t.Helper()
	explicit, err := readFolderModes(folder)
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(folder, artifactsFolder)
	var lines []string
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			if mode, listed := explicit[name]; listed {
				lines = append(lines, fmt.Sprintf("%s dir %o", name, mode.Perm()))
			}
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := os.Readlink(path)
			if err != nil {
				return err
			}
			lines = append(lines, name+" -> "+names.replace(target))
		default:
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			lines = append(lines, fmt.Sprintf("%s file %o %d %s", name, info.Mode().Perm(), len(content), hash(content)))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// listReports lists a job's reports: the files of one kind are one text, as GitLab gets them.
func listReports(t *testing.T, folder string, job *pipeline.Job) []string {
	t.Helper()
	kinds, err := os.ReadDir(filepath.Join(folder, reportsFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var lines []string
	for _, kind := range kinds {
		var all []byte
		err := filepath.WalkDir(filepath.Join(folder, reportsFolder, kind.Name()), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			all = append(all, content...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		name := kind.Name()
		if name == "coverage_report" {
			report, _ := job.Artifacts.Reports[name].(map[string]any)
			name = fmt.Sprint(report["coverage_format"])
		}
		lines = append(lines, fmt.Sprintf("%s %d %s", name, len(all), hash(all)))
	}
	slices.Sort(lines)
	return lines
}

func hash(content []byte) string {
	return fmt.Sprintf("%x", sha256.Sum256(content))[:8]
}

// pathNames replaces paths by the words that stand for them in the cases.
type pathNames struct{ cache, temp string }

func (n pathNames) replace(text string) string {
	root := regexp.QuoteMeta(n.cache) + `/projects/[^/\s]+/(gitlab-runner/\d+/builds/[^/\s]+/\d+|builds/[^/\s]+)`
	text = regexp.MustCompile(root+`/acme/app`).ReplaceAllString(text, "BUILDS/acme/app")
	text = regexp.MustCompile(`(`+regexp.QuoteMeta(n.cache)+`|`+regexp.QuoteMeta(n.temp)+`)[^\s'":]*`).ReplaceAllString(text, "PATH")
	return text
}

var (
	controlSequence = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)
	lineNumber      = regexp.MustCompile(`\bline \d+:(?: +\d+ )?`)
	commitName      = regexp.MustCompile(`\b[0-9a-f]{40}\b|(detached at |SHORT_SHA=|-g)[0-9a-f]{7,8}\b`)
	remoteURL       = regexp.MustCompile(`http://X/[^/]+/acme/app.git|https://X/acme/app.git`)
	sectionTime     = regexp.MustCompile(`(section_(?:start|end)):\d+:`)
	gitError        = regexp.MustCompile(`^fatal: (unable to access|unable to auto-detect email address|transport '[a-z-]+' not allowed).*`)
)

// comparable are the lines of a job's output without what differs from machine to machine.
func (c *runnerCase) comparable(lines []string) []string {
	var out []string
	for i, line := range lines {
		if i == maxCaseLines {
			break
		}
		line = controlSequence.ReplaceAllString(line, "")
		line = strings.Map(func(r rune) rune {
			switch {
			case r == 0:
				return ' '
			case r == '\uFFFD':
				return '?'
			case r < ' ' && r != '\t', r == 0x7f:
				return -1
			}
			return r
		}, strings.ToValidUTF8(line, "?"))
		line = lineNumber.ReplaceAllString(line, "line N:")
		line = commitName.ReplaceAllString(line, "${1}COMMIT")
		line = remoteURL.ReplaceAllString(line, "URL")
		line = sectionTime.ReplaceAllString(line, "$1:TIME:")
		line = strings.ReplaceAll(line, "[MASKED][MASKED]", "[MASKED]")
		line = gitError.ReplaceAllString(line, "fatal: git cannot")
		if c.ignore != nil && c.ignore.MatchString(line) {
			continue
		}
		if runes := []rune(line); len(runes) > maxCaseColumn {
			line = string(runes[:maxCaseColumn])
		}
		out = append(out, strings.TrimRight(line, " "))
	}
	return out
}

// compare lists how a job differs, and what of that is meant to.
func (c *runnerCase) compare(want, got jobRecord) (diff, meant []string) {
	note := func(aspect, text string) {
		for _, m := range meantDifferences {
			if m.covers(c.name, want.name, aspect) {
				meant = append(meant, m.reason)
				return
			}
		}
		diff = append(diff, text)
	}
	for _, field := range []struct{ aspect, want, got string }{
		{"status", want.status, got.status}, {"reason", want.reason, got.reason}, {"exit", want.exit, got.exit}, {"attempts", want.attempts, got.attempts},
		{"warnings", strconv.FormatBool(want.warned), strconv.FormatBool(got.warned)},
	} {
		if field.want != field.got {
			note(field.aspect, fmt.Sprintf("%s: -%s +%s", field.aspect, field.want, field.got))
		}
	}
	for _, output := range []struct {
		aspect    string
		want, got []string
	}{{"script", want.script, got.script}, {"after", want.after, got.after}} {
		w, g := c.comparable(output.want), c.comparable(output.got)
		w, g, dropped := withoutMeantLines(w, g)
		if len(output.want) >= maxCaseLines && len(g) > len(w) {
			g = g[:len(w)]
		}
		if !sameOutput(w, g) {
			note(output.aspect, lineDiff(output.aspect, w, g))
		} else {
			meant = append(meant, dropped...)
		}
	}
	if w, g := comparableFiles(want.files), comparableFiles(got.files); !slices.Equal(w, g) {
		note("files", lineDiff("files", w, g))
	}
	if !slices.Equal(want.reports, got.reports) {
		note("reports", lineDiff("reports", want.reports, got.reports))
	}
	return diff, slices.Compact(meant)
}

// comparableFiles leaves out what git keeps below .git but for HEAD: its packs and logs are not the same twice.
func comparableFiles(files []string) []string {
	out := slices.DeleteFunc(slices.Clone(files), func(file string) bool {
		return strings.HasPrefix(file, ".git/") && !strings.HasPrefix(file, ".git/HEAD ")
	})
	for i, file := range out {
		if strings.HasPrefix(file, ".git/HEAD ") {
			out[i] = ".git/HEAD"
		}
	}
	slices.Sort(out)
	return out
}

// sameOutput compares lines. What a job writes to standard error may come earlier or later; the commands keep their order.
func sameOutput(want, got []string) bool {
	if slices.Equal(want, got) {
		return true
	}
	commands := func(lines []string) []string {
		return slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return !strings.HasPrefix(line, "$ ") })
	}
	return slices.Equal(commands(want), commands(got)) && slices.Equal(slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got)))
}

// lineDiff shows the lines that only one side has.
func lineDiff(aspect string, want, got []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:", aspect)
	rest := slices.Clone(got)
	for _, line := range want {
		if i := slices.Index(rest, line); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
			continue
		}
		fmt.Fprintf(&b, "\n  -%s", line)
	}
	for _, line := range rest {
		fmt.Fprintf(&b, "\n  +%s", line)
	}
	if b.Len() == len(aspect)+1 {
		fmt.Fprintf(&b, " the same lines in another order:\n  -%s\n  +%s", strings.Join(want, "\n  -"), strings.Join(got, "\n  +"))
	}
	return b.String()
}

// A meantDifference is where this runner differs on purpose.
type meantDifference struct {
	// job is "case/job", in which * stands for any text; aspects are what may differ there.
	job     string
	aspects []string
	// lines, in place of these, are lines of any job's output that may differ.
	lines  *regexp.Regexp
	reason string
}

var meantDifferences = []meantDifference{
	{
		lines:  regexp.MustCompile(`^(SLIPWAY|TMPDIR)=$|^\[(PATH)?$|^\[\]$|^\[/tmp/X\S*\]?$`),
		reason: "SLIPWAY and TMPDIR are set: a script can ask where it runs, and nothing is left in /tmp",
	}, {
		lines:  regexp.MustCompile(`^(GOCACHE|GOMODCACHE|GOPATH|XDG_[A-Z_]+)=$`),
		reason: "jobs on this machine have a HOME of their own, and share only caches with it",
	}, {
		lines:  regexp.MustCompile(`^(CI_COMMIT_MESSAGE_IS_TRUNCATED|CI_CONFIG_REF_URI)=`),
		reason: "GitLab sets these; the coordinator that served the recorded jobs did not",
	}, {
		lines:  regexp.MustCompile(`^(CI_JOB_TOKEN|CI_REGISTRY_USER|CI_REGISTRY_PASSWORD|CI_DEPENDENCY_PROXY_USER)=`),
		reason: "no token is made up: nothing here or elsewhere would take it",
	}, {
		lines:  regexp.MustCompile(`(first-line-secret|second-line-secret|\[MASKED\]) alone|echo (scoped-secret-of-other|\[MASKED\])$|^(scoped-secret-of-other|\[MASKED\])$`),
		reason: "each line of a masked value is masked, and values of other scopes are",
	}, {
		job: "*/debug-trace", aspects: []string{"script"},
		reason: "the trace is that of this program's script",
	}, {
		job: "i1-keywords/release", aspects: []string{"status", "reason", "exit"},
		reason: "a release takes GitLab: the job's log says so, and the job does not fail for want of release-cli",
	}, {
		job: "f1-git/none", aspects: []string{"script"},
		reason: "a job has a folder of its own, in which no other job's sources are",
	},
}

func (m meantDifference) covers(caseName, job, aspect string) bool {
	match, err := filepath.Match(m.job, caseName+"/"+job)
	return err == nil && match && slices.Contains(m.aspects, aspect)
}

// withoutMeantLines drops the lines that are meant to differ where they do, and tells why.
func withoutMeantLines(want, got []string) (w, g, reasons []string) {
	w, g = want, got
	for _, m := range meantDifferences {
		if m.lines == nil {
			continue
		}
		drop := func(lines []string) (kept, dropped []string) {
			for _, line := range lines {
				if m.lines.MatchString(line) {
					dropped = append(dropped, line)
				} else {
					kept = append(kept, line)
				}
			}
			return kept, dropped
		}
		keptW, droppedW := drop(w)
		keptG, droppedG := drop(g)
		if !slices.Equal(droppedW, droppedG) {
			w, g, reasons = keptW, keptG, append(reasons, m.reason)
		}
	}
	return w, g, reasons
}
