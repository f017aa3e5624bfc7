package runner

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

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

// environmentOf makes a job's variables. The contents of file-type variables are replaced by the paths of their files.
func environmentOf(plan *pipeline.Plan, job *pipeline.Job, dotenv, extra []pipeline.Variable, folder string) jobEnvironment {
	e := jobEnvironment{variables: map[string]string{}, files: map[string]string{}}
	// Masked ones of other scopes are no secrets of this job, but no text for its log either.
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

// mask adds a secret; of a text with several lines each line is one.
// minSecret is the length in bytes of the shortest value that GitLab masks: replacing shorter ones, such as the "]," of a
// secret file in JSON, would make logs unreadable and hide nothing.
const minSecret = 8

func (e *jobEnvironment) mask(value string) {
	for line := range strings.Lines(value) {
		if line = strings.TrimSpace(line); len(line) >= minSecret {
			e.secrets = append(e.secrets, line)
		}
	}
}

// expand replaces $NAME and ${NAME} by the job's variables; unknown ones by nothing. "$$" is a dollar sign.
func (e jobEnvironment) expand(text string) string { return expand(text, e.variables) }

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

// writeFiles writes the file-type variables, readable by the owner only.
func (e jobEnvironment) writeFiles() error {
	for path, content := range e.files {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// duration reads a variable as a duration in GitLab's runner's form ("90s", "1h 30m"); the default if it is not set.
func (e jobEnvironment) duration(name string, otherwise time.Duration) time.Duration {
	d, err := time.ParseDuration(strings.ReplaceAll(e.variables[name], " ", ""))
	if err != nil || d <= 0 {
		return otherwise
	}
	return d
}

// predefined are the variables that only the machine knows.
func (a *attempt) predefined() []pipeline.Variable {
	sha := a.run.definition.Sources.Commit
	number := strconv.Itoa(a.run.number)
	variables := []pipeline.Variable{
		{Key: "SLIPWAY", Value: "true"},
		{Key: "GITLAB_CI", Value: "true"},
		{Key: "CI_BUILDS_DIR", Value: a.build.root},
		{Key: "CI_PROJECT_DIR", Value: a.build.project},
		// What a job pushes or fetches by this URL stays on this machine.
		{Key: "CI_REPOSITORY_URL", Value: a.run.definition.Sources.Dir},
		{Key: "CI_CONCURRENT_ID", Value: "0"},
		{Key: "CI_CONCURRENT_PROJECT_ID", Value: "0"},
		{Key: "CI_PIPELINE_ID", Value: number},
		{Key: "CI_PIPELINE_IID", Value: number},
		{Key: "CI_PIPELINE_CREATED_AT", Value: a.run.state.Started.UTC().Format(time.RFC3339)},
		{Key: "CI_COMMIT_SHA", Value: sha},
		{Key: "CI_COMMIT_SHORT_SHA", Value: sha[:8]},
		{Key: "CI_JOB_ID", Value: strconv.Itoa(a.id)},
		{Key: "CI_JOB_STARTED_AT", Value: a.started.UTC().Format(time.RFC3339)},
		{Key: "CI_JOB_STATUS", Value: "running"},
		{Key: "CI_JOB_TIMEOUT", Value: strconv.Itoa(int(a.timeout().Seconds()))},
		{Key: "CI_RUNNER_DESCRIPTION", Value: "slipway"},
		{Key: "CI_RUNNER_EXECUTABLE_ARCH", Value: runtime.GOOS + "/" + runtime.GOARCH},
		{Key: "RUNNER_TEMP_PROJECT_DIR", Value: a.build.temporaryProject()},
	}
	if image := a.node.job.Image; image != nil {
		variables = append(variables, pipeline.Variable{Key: "CI_JOB_IMAGE", Value: image.Name})
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

func orElse(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
