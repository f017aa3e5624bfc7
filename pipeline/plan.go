package pipeline

import (
	"context"
	"time"
)

// A Plan is one pipeline with everything decided: plain data, in GitLab's order (by stage, then as in the merged
// configuration). The runner executes a Plan; nothing in it depends on the environment or the network.
type Plan struct {
	Event Event
	// Created is false when GitLab would make no pipeline, or a skipped one without jobs; Reason says why: "workflow",
	// "no_jobs" or, for a commit message that skips it, "skip_ci".
	Created bool
	Reason  string
	// Decision is the rule of workflow:rules that let the pipeline in or kept it out, or the mark in the commit message.
	Decision Decision
	// Name is `workflow:name`, expanded.
	Name string
	// AutoCancel is `workflow:auto_cancel` as written, nil if not given.
	AutoCancel *AutoCancel
	// Stages are those that have jobs, in order.
	Stages []string
	Jobs   []*Job
	// Predefined, Project and Run are the pipeline's variables outside of YAML, in ascending precedence:
	// Predefined < YAML (Job.Variables) < dotenv reports < Project < Run. See [Plan.Environment].
	Predefined []Variable
	Project    []Variable
	Run        []Variable
	// Includes are the entries of `include` that have rules, with what these decided.
	Includes []Include
	// Dropped are the jobs of the configuration that this event leaves out, with the decision that did it.
	Dropped []*Job
}

// Job finds a job by its name; nil if there is none.
func (p *Plan) Job(name string) *Job {
	for _, j := range p.Jobs {
		if j.Name == name {
			return j
		}
	}
	return nil
}

// When is the keyword `when` of a job.
type When string

// The values of `when`.
const (
	OnSuccess When = "on_success"
	OnFailure When = "on_failure"
	Always    When = "always"
	Manual    When = "manual"
	Delayed   When = "delayed"
	Never     When = "never"
)

// A Job is one job of a [Plan]. Scripts, image names and variable values are not expanded, as GitLab sends them to
// the runner; names of environments, resource groups and tags are.
type Job struct {
	// Name is unique in the plan: "lint", "test: [1.27, amd64]" for a matrix, "test 1/3" for `parallel: 3`.
	Name string
	// BaseName is the name in the configuration.
	BaseName string
	Stage    string
	When     When
	// StartIn is the delay of a delayed job, StartInText as written.
	StartIn     time.Duration
	StartInText string
	// AllowFailure without exit codes allows every failure.
	AllowFailure          bool
	AllowFailureExitCodes []int
	// Needs is nil if the job has no `needs` (then it waits for all earlier stages), and empty for `needs: []`.
	Needs []Need
	// Dependencies names the jobs whose artifacts are fetched; nil means: by needs, else all of earlier stages.
	Dependencies  []string
	Environment   *Environment
	ResourceGroup string
	Interruptible *bool
	Retry         *Retry
	// Timeout is zero if not given.
	Timeout time.Duration
	// Parallel and Instance are the total and the 1-based number of a parallel job; zero if it is not one.
	Parallel, Instance int
	Tags               []string
	Image              *Image
	Services           []Image
	// Variables are the job's YAML variables after global, workflow, job, matrix and rule variables and `inherit`.
	Variables                         []Variable
	Script, BeforeScript, AfterScript []string
	Cache                             []Cache
	Artifacts                         *Artifacts
	// Trigger is set for jobs that start another pipeline; they have no scripts.
	Trigger            *TriggerSpec
	ManualConfirmation string
	// Coverage is the pattern (RE2) without its slashes.
	Coverage string
	// Release, Hooks, IDTokens, Secrets, Pages and Run are kept as GitLab stores them.
	Release, Hooks, IDTokens, Secrets, Pages, Run any
	Identity                                      string
	// Source is where the job is defined; Decision is the rule that let it in or kept it out.
	Source   Position
	Decision Decision

	exitCodesGiven bool
	// written is the job in the merged configuration merged; see [Job.Position].
	written, merged *node
}

// A Need is an edge of the graph: this job starts after Job.
type Need struct {
	Job string
	// Artifacts says that the needed job's artifacts are fetched (GitLab's default).
	Artifacts bool
	Optional  bool
	// Project, Ref and Pipeline are set for needs across projects or pipelines; the runner leaves those out.
	Project, Ref, Pipeline string
}

// An Environment is the keyword `environment` of a job.
type Environment struct {
	Name           string
	URL            string
	OnStop         string
	Action         string // "start" (default), "prepare", "stop", "verify", "access"
	AutoStopIn     string
	DeploymentTier string
	Kubernetes     any

	stored map[string]any
}

// Retry is the keyword `retry`: Max is 0 to 2; When and ExitCodes limit it to kinds of failures.
type Retry struct {
	Max       int
	When      []string
	ExitCodes []int

	// given says that the keyword was a hash, maxGiven that it had max.
	given, maxGiven bool
}

// An Image is the keyword `image`, or an item of `services`.
type Image struct {
	Name       string
	Alias      string
	Entrypoint []string
	Command    []string
	PullPolicy []string
	Docker     any
	Kubernetes any
	Variables  []Variable
}

// A Cache is an item of the keyword `cache`.
type Cache struct {
	// Key is the given key; with KeyFiles it is computed from those files, after KeyPrefix.
	Key             string
	KeyFiles        []string
	KeyFilesCommits []string
	KeyPrefix       string
	FallbackKeys    []string
	Paths           []string
	Untracked       bool
	Unprotect       bool
	When            string // "on_success" (default), "on_failure", "always"
	Policy          string // "pull-push" (default), "pull", "push", or a variable

	untrackedGiven bool
}

// Artifacts is the keyword `artifacts`. Reports maps a kind (junit, dotenv, coverage_report, ...) to its paths.
type Artifacts struct {
	Paths     []string
	Exclude   []string
	Untracked bool
	ExpireIn  string
	ExposeAs  string
	Name      string
	When      string // "on_success" (default), "on_failure", "always"
	Public    *bool
	Access    string
	Reports   map[string]any

	stored map[string]any
}

// ReportPaths gives the paths of a kind of report, whichever of its forms was written.
func (a *Artifacts) ReportPaths(kind string) []string {
	if a == nil {
		return nil
	}
	var paths []string
	switch v := a.Reports[kind].(type) {
	case string:
		paths = append(paths, v)
	case []string:
		paths = append(paths, v...)
	case []any:
		for _, p := range v {
			if s, ok := p.(string); ok {
				paths = append(paths, s)
			}
		}
	case map[string]any:
		if s, ok := v["path"].(string); ok {
			paths = append(paths, s)
		}
	}
	return paths
}

// A TriggerSpec is the keyword `trigger`.
type TriggerSpec struct {
	// Project and Branch name the downstream project; empty for child pipelines.
	Project, Branch string
	Strategy        string
	// Include is the child pipeline's include as written.
	Include []any
	Inputs  map[string]any
	Forward map[string]bool
	// Child is the compiled child pipeline where its configuration can be had at compile time, and ChildError why not.
	Child      *Plan
	ChildError error

	stored   map[string]any
	node     *node
	generate func(context.Context, ArtifactReader) (*Plan, error)
}

// AutoCancel is `workflow:auto_cancel`.
type AutoCancel struct {
	OnNewCommit  string `json:"on_new_commit,omitempty"`
	OnJobFailure string `json:"on_job_failure,omitempty"`
}

// A Position is a place in a configuration file. Line and Column are 1-based; zero means unknown.
type Position struct {
	// File is the path as the project knows it ("ci/lint.yml", "platform/ci@v1:lint.yml").
	File         string
	Line, Column int
}
