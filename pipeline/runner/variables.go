package runner

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/internal/lazyregexp"
	"gitlab.com/slipway-ci/slipway/pipeline"
)

// A jobEnvironment is the variables of one job, ready for use.
type jobEnvironment struct {
	variables map[string]string
	// files are the contents of file-type variables by their paths, written before the job starts.
	files map[string]string
	// secrets are the values that must not appear in the log.
	secrets []string
}

// environmentOf returns a job's variables. The contents of file-type variables are replaced by the paths of their files.
func environmentOf(plan *pipeline.Plan, job *pipeline.Job, dotenv, extra []pipeline.Variable, folder string) jobEnvironment {
	e := jobEnvironment{variables: map[string]string{}, files: map[string]string{}}
	// Masked variables of other scopes are not for this job, but must not appear in its log either.
	for _, layer := range [][]pipeline.Variable{plan.Project, plan.Run} {
		for _, v := range layer {
			if v.Masked {
				e.mask(v.Value)
			}
		}
	}
	for _, v := range plan.Environment(job, dotenv, extra) {
		if v.Masked {
			e.mask(v.Value)
		}
		if v.File {
			path := filepath.Join(folder, v.Key)
			e.files[path] = v.Value
			v.Value = path
		}
		e.variables[v.Key] = v.Value
	}
	return e
}

// minSecretLine is the length in bytes of the shortest line of a secret that is masked separately, GitLab's limit for masked variables:
// replacing shorter ones, such as the "]," of a secret file in JSON, would make logs unreadable and would not protect the secret.
const minSecretLine = 8

// mask adds a secret: the whole value, as in GitLab's runner, and each line of a value that has several.
func (e *jobEnvironment) mask(value string) {
	if value = strings.TrimSpace(value); value != "" {
		e.secrets = append(e.secrets, value)
	}
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= minSecretLine && line != value {
			e.secrets = append(e.secrets, line)
		}
	}
}

// expand replaces $NAME and ${NAME} with the job's variables, unknown ones with the empty text. So is "$$", as in the paths and keys
// that GitLab's runner expands.
func (e jobEnvironment) expand(text string) string {
	return os.Expand(text, func(name string) string { return e.variables[name] })
}

// flag reports whether a variable is true.
func (e jobEnvironment) flag(name string) bool {
	on, err := strconv.ParseBool(e.variables[name])
	return err == nil && on
}

// expand replaces variables in a text that GitLab itself expands, where "$$" is a dollar sign.
func expand(text string, variables map[string]string) string {
	return os.Expand(text, func(name string) string {
		if name == "$" {
			return "$"
		}
		return variables[name]
	})
}

func (e jobEnvironment) expandAll(texts []string) []string {
	expanded := make([]string, len(texts))
	for i, t := range texts {
		expanded[i] = e.expand(t)
	}
	return expanded
}

// writeFiles writes the file-type variables. Their folder is the user's alone, so their mode can be that of GitLab's runner: a key for
// ssh needs a chmod in the script there as well.
func (e jobEnvironment) writeFiles() error {
	for path, content := range e.files {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil { //nolint:gosec
			return err
		}
		if err := os.Chmod(path, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// maxVariable is the longest entry that Linux allows in the environment of a process: name, equals sign and value.
const maxVariable = 128<<10 - 1

// checkSizes returns an error for a variable that is too long for the environment of a process.
func checkSizes(variables map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		if size := len(name) + 1 + len(variables[name]); size > maxVariable {
			return fmt.Errorf("the variable %s has %d bytes: no process can have one of 128 KiB or more in its environment; make it a file variable", name, size)
		}
	}
	return nil
}

// readJobVariables reads the file GITLAB_ENV, in which a script passes variables on to what follows in the job, as the shell of GitLab's
// runner does: `while read -r line; do export "$line"; done`, in each step that follows, for which there is such a file again. So blanks
// around a line do not count, nor does a last line without a line break; and a line that cannot be exported fails those steps.
func (a *attempt) readJobVariables() error {
	a.badExport = nil
	path := a.build.jobVariables()
	file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil //nolint:nilerr // the script has put something else in its place
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		return nil //nolint:nilerr // a folder
	}
	for line := range strings.Lines(strings.ReplaceAll(string(content), "\x00", "")) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		line = strings.Trim(line, " \t\n")
		name, value, assigns := strings.Cut(line, "=")
		name, appends := strings.CutSuffix(name, "+")
		switch {
		case !shellName().MatchString(name) || appends && !assigns:
			a.badExport = fmt.Errorf("export: `%s': not a valid identifier", line)
		case slices.Contains(readOnlyInShell, name) && assigns:
			a.badExport = fmt.Errorf("%s: readonly variable", name)
		case appends:
			a.env.variables[name] += value
		case assigns:
			a.env.variables[name] = value
		}
		if a.badExport != nil {
			break
		}
	}
	return nil
}

var (
	shellName = lazyregexp.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// readOnlyInShell are variables of bash that no script can set.
	readOnlyInShell = []string{"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"}
)

// duration reads a variable as a duration in GitLab's runner's form ("90s", "1h30m"); the default if it is not set.
func (e jobEnvironment) duration(name string, otherwise time.Duration) time.Duration {
	d, err := time.ParseDuration(e.variables[name])
	if err != nil || d <= 0 {
		return otherwise
	}
	return d
}

// runnerVersion is the version of GitLab's runner whose behaviour the package reproduces.
const runnerVersion = "18.11.4"

// runnerTags returns the tags of a runner that accepts the job: the job's own.
func (a *attempt) runnerTags() string {
	tags := a.node.job.Tags
	if len(tags) == 0 {
		return "[]"
	}
	quoted, err := json.Marshal(tags)
	if err != nil {
		return "[]"
	}
	return strings.ReplaceAll(string(quoted), `","`, `", "`)
}

// predefined returns the variables that depend on the machine: those of GitLab, and those of its runner.
func (a *attempt) predefined() []pipeline.Variable {
	return append(a.gitlabPredefined(), []pipeline.Variable{
		{Key: "SLIPWAY", Value: "true"},
		{Key: "GITLAB_CI", Value: "true"},
		{Key: "CI_BUILDS_DIR", Value: a.build.root},
		{Key: "CI_PROJECT_DIR", Value: a.build.project},
		{Key: "GITLAB_ENV", Value: a.build.jobVariables()},
		// Pushes and fetches with this URL stay on this machine.
		{Key: "CI_REPOSITORY_URL", Value: a.run.definition.Sources.Dir},
		{Key: "CI_CONCURRENT_ID", Value: "0"},
		{Key: "CI_CONCURRENT_PROJECT_ID", Value: "0"},
		{Key: "CI_JOB_STATUS", Value: "running"},
		{Key: "CI_JOB_TIMEOUT", Value: strconv.Itoa(int(a.timeout().Seconds()))},
		{Key: "CI_RUNNER_REVISION", Value: "slipway"},
		{Key: "CI_RUNNER_SHORT_TOKEN", Value: "slipway"},
		{Key: "CI_RUNNER_VERSION", Value: runnerVersion},
		{Key: "CI_RUNNER_EXECUTABLE_ARCH", Value: runtime.GOOS + "/" + runtime.GOARCH},
		{Key: "RUNNER_TEMP_PROJECT_DIR", Value: a.build.temporaryProject()},
	}...)
}

// gitlabPredefined returns the variables that GitLab sets when it gives a job to a runner.
func (a *attempt) gitlabPredefined() []pipeline.Variable {
	variables := append(slices.Clone(a.pipelineVariables), []pipeline.Variable{
		{Key: "CI_JOB_ID", Value: strconv.Itoa(a.id)},
		{Key: "CI_JOB_STARTED_AT", Value: a.started.UTC().Format(time.RFC3339)},
		{Key: "CI_RUNNER_DESCRIPTION", Value: "slipway"},
		{Key: "CI_RUNNER_ID", Value: "1"},
		{Key: "CI_RUNNER_TAGS", Value: a.runnerTags()},
	}...)
	if url := a.predefinedValue("CI_PROJECT_URL"); url != "" {
		variables = append(variables, pipeline.Variable{Key: "CI_JOB_URL", Value: url + "/-/jobs/" + strconv.Itoa(a.id)})
	}
	user := a.run.options.User
	for _, v := range []pipeline.Variable{
		{Key: "GITLAB_USER_LOGIN", Value: user.Login}, {Key: "GITLAB_USER_NAME", Value: user.Name}, {Key: "GITLAB_USER_EMAIL", Value: user.Email},
	} {
		if v.Value != "" {
			variables = append(variables, v)
		}
	}
	return variables
}
