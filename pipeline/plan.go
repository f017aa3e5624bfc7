package pipeline

import (
	"errors"
	"slices"
	"time"
)

// A Plan is one pipeline with everything decided: plain data, in GitLab's order (by stage, then as in the merged
// configuration). The runner executes a Plan; nothing in it depends on the environment or the network.
type Plan struct {
	Event Event `json:"event,omitzero"`
	// Created is false if GitLab would create no pipeline, or a skipped one without jobs; Reason says why: "workflow",
	// "no_jobs" or, for a commit message that skips it, "skip_ci".
	Created bool   `json:"created,omitzero"`
	Reason  string `json:"reason,omitzero"`
	// Decision is the rule of workflow:rules that created the pipeline or prevented it, or the mark in the commit message.
	Decision Decision `json:"decision,omitzero"`
	// Name is `workflow:name`, expanded.
	Name string `json:"name,omitzero"`
	// AutoCancel is `workflow:auto_cancel` as written, nil if not given.
	AutoCancel *AutoCancel `json:"auto_cancel,omitzero"`
	// Stages are those that have jobs, in order.
	Stages []string `json:"stages,omitzero"`
	Jobs   []*Job   `json:"jobs,omitzero"`
	// Predefined, Project and Run are the pipeline's variables outside of YAML, in ascending precedence:
	// Predefined < YAML (Job.Variables) < dotenv reports < Project < Run. See [Plan.Environment].
	Predefined []Variable `json:"predefined,omitzero"`
	Project    []Variable `json:"project,omitzero"`
	Run        []Variable `json:"run,omitzero"`
	// Includes are the entries of `include` that have rules, with what these decided.
	Includes []Include `json:"includes,omitzero"`
	// Dropped are the jobs of the configuration that this event leaves out, with the decision that did it.
	Dropped []*Job `json:"dropped,omitzero"`
}

// Job returns the job of a name, nil if there is none.
func (p *Plan) Job(name string) *Job {
	for _, j := range p.Jobs {
		if j.Name == name {
			return j
		}
	}
	return nil
}

// Waits returns the names of the jobs that a job itself waits for: those of its `needs`, and without that keyword all of earlier stages.
func (p *Plan) Waits(job *Job) []string {
	var names []string
	if job.Needs != nil {
		for _, need := range job.Needs {
			names = append(names, need.Job)
		}
		return names
	}
	stage := slices.Index(p.Stages, job.Stage)
	for _, other := range p.Jobs {
		if slices.Index(p.Stages, other.Stage) < stage {
			names = append(names, other.Name)
		}
	}
	return names
}

// RunsAfter reports whether a job cannot start before another one has ended, through `needs` or through stages. Name is the other job's, or
// its base name.
func (p *Plan) RunsAfter(job *Job, name string) bool {
	return p.runsAfter(job, name, map[string]bool{})
}

func (p *Plan) runsAfter(job *Job, name string, seen map[string]bool) bool {
	for _, waited := range p.Waits(job) {
		other := p.Job(waited)
		if other == nil || seen[waited] {
			continue
		}
		seen[waited] = true
		if waited == name || other.BaseName == name || p.runsAfter(other, name, seen) {
			return true
		}
	}
	return false
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
	Name string `json:"name,omitzero"`
	// BaseName is the name in the configuration.
	BaseName string `json:"base_name,omitzero"`
	Stage    string `json:"stage,omitzero"`
	When     When   `json:"when,omitzero"`
	// StartIn is the delay of a delayed job, StartInText as written.
	StartIn     time.Duration `json:"start_in,omitzero"`
	StartInText string        `json:"start_in_text,omitzero"`
	// AllowFailure without exit codes allows every failure.
	AllowFailure          bool  `json:"allow_failure,omitzero"`
	AllowFailureExitCodes []int `json:"allow_failure_exit_codes,omitzero"`
	// AllowFailureCriteria reports that `allow_failure` is a hash, even one without exit_codes.
	AllowFailureCriteria bool `json:"allow_failure_criteria,omitzero"`
	// Needs is nil if the job has no `needs` (then it waits for all earlier stages), and empty for `needs: []`.
	Needs []Need `json:"needs,omitzero"`
	// Dependencies names the jobs whose artifacts are fetched; nil means: by needs, else all of earlier stages.
	Dependencies  []string     `json:"dependencies,omitzero"`
	Environment   *Environment `json:"environment,omitzero"`
	ResourceGroup string       `json:"resource_group,omitzero"`
	Interruptible *bool        `json:"interruptible,omitzero"`
	Retry         *Retry       `json:"retry,omitzero"`
	// Timeout is zero if not given.
	Timeout time.Duration `json:"timeout,omitzero"`
	// Parallel and Instance are the total and the 1-based number of a parallel job; zero if it is not one.
	Parallel int      `json:"parallel,omitzero"`
	Instance int      `json:"instance,omitzero"`
	Tags     []string `json:"tags,omitzero"`
	Image    *Image   `json:"image,omitzero"`
	Services []Image  `json:"services,omitzero"`
	// Variables are the job's YAML variables after global, workflow, job, matrix and rule variables and `inherit`.
	Variables    []Variable `json:"variables,omitzero"`
	Script       []string   `json:"script,omitzero"`
	BeforeScript []string   `json:"before_script,omitzero"`
	AfterScript  []string   `json:"after_script,omitzero"`
	Cache        []Cache    `json:"cache,omitzero"`
	Artifacts    *Artifacts `json:"artifacts,omitzero"`
	// Trigger is set for jobs that start another pipeline; they have no scripts.
	Trigger            *TriggerSpec `json:"trigger,omitzero"`
	ManualConfirmation string       `json:"manual_confirmation,omitzero"`
	// Inputs are the job's own inputs, which can be set when it is started by hand or run again.
	Inputs []Input `json:"inputs,omitzero"`
	// Coverage is the pattern (RE2) without its slashes.
	Coverage string `json:"coverage,omitzero"`
	// Release, Hooks, IDTokens, Secrets, Pages and Run are kept as GitLab stores them.
	Release  any    `json:"release,omitzero"`
	Hooks    any    `json:"hooks,omitzero"`
	IDTokens any    `json:"id_tokens,omitzero"`
	Secrets  any    `json:"secrets,omitzero"`
	Pages    any    `json:"pages,omitzero"`
	Run      any    `json:"run,omitzero"`
	Identity string `json:"identity,omitzero"`
	// Source is where the job is defined; Decision is the rule that created or excluded it.
	Source   Position `json:"source,omitzero"`
	Decision Decision `json:"decision,omitzero"`
	// Keywords are the places of the job's keywords, by key path ("artifacts:paths"); see [Job.Position].
	Keywords map[string]Position `json:"keywords,omitzero"`
}

// A Need is an edge of the graph: this job starts after Job.
type Need struct {
	Job string `json:"job,omitzero"`
	// Artifacts reports that the needed job's artifacts are fetched (GitLab's default).
	Artifacts bool `json:"artifacts,omitzero"`
	Optional  bool `json:"optional,omitzero"`
	// Project and Ref are set for needs across projects, which the runner leaves out; Pipeline, the number of a pipeline or a variable with
	// it, for needs across parent and child pipelines.
	Project  string `json:"project,omitzero"`
	Ref      string `json:"ref,omitzero"`
	Pipeline string `json:"pipeline,omitzero"`
}

// An Environment is the keyword `environment` of a job.
type Environment struct {
	Name           string `json:"name,omitzero"`
	URL            string `json:"url,omitzero"`
	OnStop         string `json:"on_stop,omitzero"`
	Action         string `json:"action,omitzero"` // "start" (default), "prepare", "stop", "verify", "access"
	AutoStopIn     string `json:"auto_stop_in,omitzero"`
	DeploymentTier string `json:"deployment_tier,omitzero"`
	Kubernetes     any    `json:"kubernetes,omitzero"`
}

// Retry is the keyword `retry`: Max is 0 to 2; When and ExitCodes limit it to kinds of failures.
type Retry struct {
	Max       int      `json:"max,omitzero"`
	When      []string `json:"when,omitzero"`
	ExitCodes []int    `json:"exit_codes,omitzero"`
	// NoMax reports that the keyword is a hash without max.
	NoMax bool `json:"no_max,omitzero"`
}

// An Image is the keyword `image`, or an item of `services`.
type Image struct {
	Name       string     `json:"name,omitzero"`
	Alias      string     `json:"alias,omitzero"`
	Entrypoint []string   `json:"entrypoint,omitzero"`
	Command    []string   `json:"command,omitzero"`
	PullPolicy []string   `json:"pull_policy,omitzero"`
	Docker     any        `json:"docker,omitzero"`
	Kubernetes any        `json:"kubernetes,omitzero"`
	Variables  []Variable `json:"variables,omitzero"`
}

// A Cache is an item of the keyword `cache`.
type Cache struct {
	// Key is the given key; with KeyFiles it is computed from those files, after KeyPrefix.
	Key             string   `json:"key,omitzero"`
	KeyFiles        []string `json:"key_files,omitzero"`
	KeyFilesCommits []string `json:"key_files_commits,omitzero"`
	KeyPrefix       string   `json:"key_prefix,omitzero"`
	FallbackKeys    []string `json:"fallback_keys,omitzero"`
	Paths           []string `json:"paths,omitzero"`
	Untracked       bool     `json:"untracked,omitzero"`
	// UntrackedSet reports that the key untracked is given, even as false.
	UntrackedSet bool   `json:"untracked_set,omitzero"`
	Unprotect    bool   `json:"unprotect,omitzero"`
	When         string `json:"when,omitzero"`   // "on_success" (default), "on_failure", "always"
	Policy       string `json:"policy,omitzero"` // "pull-push" (default), "pull", "push", or a variable
}

// Artifacts is the keyword `artifacts`. Reports maps a kind (junit, dotenv, coverage_report, ...) to its paths.
type Artifacts struct {
	Paths     []string       `json:"paths,omitzero"`
	Exclude   []string       `json:"exclude,omitzero"`
	Untracked bool           `json:"untracked,omitzero"`
	ExpireIn  string         `json:"expire_in,omitzero"`
	ExposeAs  string         `json:"expose_as,omitzero"`
	Name      string         `json:"name,omitzero"`
	When      string         `json:"when,omitzero"` // "on_success" (default), "on_failure", "always"
	Public    *bool          `json:"public,omitzero"`
	Access    string         `json:"access,omitzero"`
	Reports   map[string]any `json:"reports,omitzero"`
	// Stored is the keyword as GitLab stores it: the keys that are given.
	Stored map[string]any `json:"stored,omitzero"`
}

// ReportPaths returns the paths of a kind of report, whichever of its forms was written.
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
	Project  string `json:"project,omitzero"`
	Branch   string `json:"branch,omitzero"`
	Strategy string `json:"strategy,omitzero"`
	// Include is the child pipeline's include as written.
	Include []any           `json:"include,omitzero"`
	Inputs  map[string]any  `json:"inputs,omitzero"`
	Forward map[string]bool `json:"forward,omitzero"`
	// Stored is the keyword as GitLab stores it: the keys that are given.
	Stored map[string]any `json:"stored,omitzero"`
	// Child is the compiled child pipeline. Where there is none, ChildErrors are the reasons for which GitLab would refuse it, or
	// ChildUnknown is why it is not known: its configuration is skipped, or is an artifact of [TriggerSpec.ArtifactJobs], from
	// which [Project.ChildPlan] makes it.
	Child        *Plan  `json:"child,omitzero"`
	ChildErrors  Errors `json:"child_errors,omitzero"`
	ChildUnknown string `json:"child_unknown,omitzero"`
}

// ChildError returns why there is no child pipeline: ChildErrors, or ChildUnknown as an error; nil if neither is set.
func (t *TriggerSpec) ChildError() error {
	switch {
	case len(t.ChildErrors) > 0:
		return t.ChildErrors
	case t.ChildUnknown != "":
		return errors.New(t.ChildUnknown)
	}
	return nil
}

// AutoCancel is `workflow:auto_cancel`.
type AutoCancel struct {
	OnNewCommit  string `json:"on_new_commit,omitempty"`
	OnJobFailure string `json:"on_job_failure,omitempty"`
}

// A Position is a place in a configuration file. Line and Column are 1-based; zero means unknown.
type Position struct {
	// File is the path as the project knows it ("ci/lint.yml", "platform/ci@v1:lint.yml").
	File   string `json:"file,omitzero"`
	Line   int    `json:"line,omitzero"`
	Column int    `json:"column,omitzero"`
}
