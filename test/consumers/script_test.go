package consumers

import (
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/outside"
	"golang.org/x/mod/modfile"
)

// everything includes all stages with all their optional jobs, so that the plan has every script.
const everything = `
include:
  - local: /ci/workflow.yml
  - local: /templates/go-service.yml
    inputs: {image_vulnerabilities: true, sbom: true, signature: key, review: true, rehearsal: true, fuzz: true, benchmark: true}
  - local: /templates/go-service.yml
    inputs: {job_prefix: other-, builder: ko, test_shards: 3, deploy: false, release: false}
  - local: /ci/compatibility.yml
  - local: /ci/acceptance.yml
    inputs: {url: "https://staging.example.com", contract: openapi.yaml}
  - local: /ci/gitops.yml
  - local: /ci/deploy-waves.yml
  - local: /ci/deploy-machine.yml
`

// loadEverything loads that configuration with the stages of the checkout.
func loadEverything(t *testing.T) *pipeline.Project {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"ci", "templates"} {
		if err := os.CopyFS(filepath.Join(dir, folder), os.DirFS(filepath.Join(root, folder))); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, ".gitlab-ci.yml"), []byte(everything), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := pipeline.Load(os.DirFS(dir), pipeline.Options{Variables: []pipeline.Variable{{Key: "SONAR_TOKEN", Value: "x"}, {Key: "SONAR_HOST_URL", Value: "y"}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// everyJob returns the jobs of all stages in all standard events, with the names of the events.
func everyJob(t *testing.T) iter.Seq2[string, *pipeline.Job] {
	t.Helper()
	p := loadEverything(t)
	return func(yield func(string, *pipeline.Job) bool) {
		for _, e := range pipeline.StandardEvents() {
			plan, err := p.Plan(t.Context(), e)
			if err != nil {
				t.Fatalf("%s: %v", e.Name, err)
			}
			for _, j := range plan.Jobs {
				if !yield(e.Name, j) {
					return
				}
			}
		}
	}
}

// appended matches the name of a file to which a script appends.
var appended = regexp.MustCompile(`>>"?([^"\s;&|]+)`)

// TestScripts checks the syntax of every script of every stage with a POSIX shell and with shellcheck.
func TestScripts(t *testing.T) {
	t.Parallel()
	outside.Program(t, "shellcheck", "SHELLCHECK", "apt-get install shellcheck")
	seen := map[string]bool{}
	for _, j := range everyJob(t) {
		if seen[j.BaseName] {
			continue
		}
		seen[j.BaseName] = true
		t.Run(j.BaseName, func(t *testing.T) {
			t.Parallel()
			// before_script and script run in one shell, after `set -e`.
			script := "#!/bin/sh\nset -e\n" + strings.Join(slices.Concat(j.BeforeScript, j.Script), "\n") + "\n"
			for _, in := range j.Inputs {
				script = strings.ReplaceAll(script, "${{ job.inputs."+in.Name+" }}", pipeline.InputText(in.Default))
			}
			path := filepath.Join(t.TempDir(), "script.sh")
			if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			// The builder's image has busybox; the others have dash.
			for _, shell := range [][]string{{"sh", "-n", path}, {"busybox", "sh", "-n", path}} {
				if _, err := exec.LookPath(shell[0]); err != nil {
					continue
				}
				if out, err := exec.CommandContext(t.Context(), shell[0], shell[1:]...).CombinedOutput(); err != nil { //nolint:gosec // a fixed list
					t.Errorf("%v: %v\n%s", shell, err, out)
				}
			}
			// SC2154: variables come from outside. SC2016: single quotes contain other programs' code. SC2050 and SC2194: inputs have been
			// replaced by constants.
			out, err := exec.CommandContext(t.Context(), "shellcheck", "--shell=sh", "--exclude=SC2154,SC2016,SC2050,SC2194", "--format=gcc", path).CombinedOutput()
			if err != nil {
				t.Errorf("shellcheck: %v\n%s", err, strings.ReplaceAll(string(out), path, j.BaseName))
			}
			for _, m := range appended.FindAllStringSubmatch(script, -1) {
				// The builds folder may have the file of an earlier job.
				created := regexp.MustCompile(`[^>]>"?` + regexp.QuoteMeta(m[1]))
				if !strings.HasPrefix(m[1], "$work/") && !created.MatchString(script) {
					t.Errorf("the script appends to %s and does not create it", m[1])
				}
			}
			for _, item := range slices.Concat(j.BeforeScript, j.Script) {
				if n := strings.Count(item, "\n"); n > 40 {
					t.Errorf("an item of the script has %d lines, want at most 40:\n%.200s", n, item)
				}
			}
		})
	}
	if len(seen) < 30 {
		t.Errorf("only %d jobs were seen", len(seen))
	}
}

// TestCancelled cancels each job that has a folder of its own for credentials, by a signal to its processes, and checks that nothing is left there.
func TestCancelled(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, j := range everyJob(t) {
		begin := slices.Index(j.BeforeScript, "work=$(mktemp -d)")
		if begin < 0 || seen[j.BaseName] {
			continue
		}
		seen[j.BaseName] = true
		end := begin + 1
		for end < len(j.BeforeScript) && strings.HasPrefix(j.BeforeScript[end], "trap ") {
			end++
		}
		// A signal before a command starts is noticed after that command, so they are short.
		script := "set -e\n" + strings.Join(j.BeforeScript[begin:end], "\n") + "\necho x >\"$work/credentials\"\necho started\nfor i in $(seq 600); do sleep 0.1; done\n"
		for _, shell := range []string{"sh", "dash", "bash"} {
			if _, err := exec.LookPath(shell); err != nil {
				continue
			}
			t.Run(j.BaseName+" in "+shell, func(t *testing.T) {
				t.Parallel()
				folder := t.TempDir()
				c := exec.CommandContext(t.Context(), shell, "-c", script)
				c.Env = append(os.Environ(), "TMPDIR="+folder)
				c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
				out, err := c.StdoutPipe()
				if err == nil {
					err = c.Start()
				}
				if err != nil {
					t.Fatal(err)
				}
				if _, err := out.Read(make([]byte, 1)); err != nil {
					t.Fatal(err)
				}
				if err := syscall.Kill(-c.Process.Pid, syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				if err := c.Wait(); err == nil {
					t.Error("the job was cancelled, and passed")
				}
				if left, err := filepath.Glob(filepath.Join(folder, "*", "*")); err != nil || len(left) > 0 {
					t.Errorf("the job leaves %s (%v)", left, err)
				}
			})
		}
	}
	if len(seen) < 9 {
		t.Errorf("only %d jobs have such a folder", len(seen))
	}
}

// TestVersions compares the versions in the stages and in the tools image with those that tools/ pins, and checks that no job compiles or
// fetches a tool, since all of them are in the tools image.
func TestVersions(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(filepath.Join(root, "tools", "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := modfile.Parse("go.mod", data, nil)
	if err != nil {
		t.Fatal(err)
	}
	toolchain := strings.TrimPrefix(mod.Toolchain.Name, "go")
	golang := regexp.MustCompile(`library/golang:([0-9.]+)`)
	tools := regexp.MustCompile(`default: (\S+/slipway/tools:\S+)`)
	fetches := regexp.MustCompile(`go install|go run [a-z.]+/|curl [^|]*\| *sh|- (apt-get|apk) `)
	files, err := filepath.Glob(filepath.Join(root, "ci", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	images := regexp.MustCompile(`(?:default: |_IMAGE=)((?:docker\.io|gcr\.io|ghcr\.io|registry\.gitlab\.com)/[a-z0-9./-]+)`)
	pages, err := os.ReadFile(filepath.Join(root, "docs", "stages", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	references := map[string][]string{}
	for _, f := range append(files, filepath.Join(root, "templates", "go-service.yml"), filepath.Join(root, "tools", "Dockerfile")) {
		data, err := os.ReadFile(f) //nolint:gosec // the files of this repository
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		for _, m := range golang.FindAllStringSubmatch(text, -1) {
			if m[1] != toolchain {
				t.Errorf("%s names golang:%s, tools/go.mod pins %s", f, m[1], toolchain)
			}
		}
		for _, m := range images.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(pages), "| `"+m[1]) {
				t.Errorf("%s names %s, whose origin docs/stages/README.md does not list", f, m[1])
			}
		}
		for _, m := range tools.FindAllStringSubmatch(text, -1) {
			references[m[1]] = append(references[m[1]], f)
		}
		if m := fetches.FindString(text); m != "" && filepath.Base(f) != "Dockerfile" {
			t.Errorf("%s has %q: tools belong in the tools image", f, m)
		}
	}
	if len(references) != 1 {
		t.Errorf("the stages name several tools images: %v", references)
	}
}
