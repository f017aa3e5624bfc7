package runner

import (
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// A Status is the state of a job, as GitLab names it.
type Status string

// The states of a job.
const (
	Created   Status = "created"
	Waiting   Status = "waiting_for_resource"
	Scheduled Status = "scheduled"
	Pending   Status = "pending"
	Running   Status = "running"
	Success   Status = "success"
	Failed    Status = "failed"
	Canceled  Status = "canceled"
	Skipped   Status = "skipped"
	Manual    Status = "manual"
)

// finished reports whether a job no longer changes on its own.
func (s Status) finished() bool {
	switch s {
	case Success, Failed, Canceled, Skipped, Manual:
		return true
	}
	return false
}

// A Failure is why a job failed, as GitLab names it in `retry:when`.
type Failure string

// The failures that can occur here.
const (
	ScriptFailure  Failure = "script_failure"
	JobTimeout     Failure = "job_execution_timeout"
	SystemFailure  Failure = "runner_system_failure"
	TriggerFailure Failure = "downstream_pipeline_creation_failed"
	// DependencyFailure is a job that needs a job of another pipeline which has not passed.
	DependencyFailure Failure = "missing_dependency_failure"
	// EnvironmentFailure is a job whose environment's name is invalid: it fails when the pipeline starts, without a log.
	EnvironmentFailure Failure = "environment_creation_failure"
)

// JobState is the state of a job in a run.
type JobState struct {
	// Name is the job's name; in child pipelines after that of the job that triggered it: "deploy / smoke".
	Name string `json:"name"`
	// BaseName is the name in the configuration if it is different: of jobs with `parallel`.
	BaseName string `json:"base_name,omitempty"`
	// Slug names the job's folder in the run.
	Slug   string `json:"slug"`
	Stage  string `json:"stage"`
	Status Status `json:"status"`
	// Allowed reports that the job failed and was allowed to (`allow_failure`).
	Allowed bool `json:"allowed,omitempty"`
	// Blocking reports that a job in the state manual blocks the pipeline.
	Blocking bool `json:"blocking,omitempty"`
	// Failure and Error are why a job failed, the latter as a message; ExitCode is the script's.
	Failure  Failure `json:"failure,omitempty"`
	Error    string  `json:"error,omitempty"`
	ExitCode int     `json:"exit_code,omitempty"`
	// ID is CI_JOB_ID of the last attempt; Attempts counts them.
	ID       int `json:"id,omitempty"`
	Attempts int `json:"attempts,omitempty"`
	// ChildPipeline is CI_PIPELINE_ID of the child pipeline that the job started.
	ChildPipeline int       `json:"child_pipeline,omitempty"`
	Started       time.Time `json:"started,omitzero"`
	Finished      time.Time `json:"finished,omitzero"`
	// Coverage is what the job's `coverage` pattern found in the log, in percent, as written there.
	Coverage string `json:"coverage,omitempty"`
	// Environment is the deployed environment, with variables of the job's own dotenv report expanded.
	Environment *Deployment `json:"environment,omitempty"`
	// Dotenv are the variables that the job passes on to later ones.
	Dotenv []pipeline.Variable `json:"dotenv,omitempty"`
	// Reports are the kinds of the job's reports.
	Reports []string `json:"reports,omitempty"`
	// Confirmation is the question to ask before a manual job is started.
	Confirmation string `json:"confirmation,omitempty"`
	// Inputs are the values of the job's inputs that are not their defaults, as texts.
	Inputs map[string]string `json:"inputs,omitempty"`
	// Played reports that a person started this manual job.
	Played bool `json:"played,omitempty"`
	// Held reports that this job is not manual, but waits for a person because it deploys; see [Options.Deploy].
	Held bool `json:"held,omitempty"`
	// Reused is the number of the run that the job's result was taken from; 0 if it ran in this one. See [Options.Reuse].
	Reused int `json:"reused,omitempty"`
	// ImageIgnored and ServicesIgnored report that the job ran on this machine, without its image, or without its services.
	ImageIgnored    bool `json:"image_ignored,omitempty"`
	ServicesIgnored bool `json:"services_ignored,omitempty"`
}

// Duration returns the duration of the last attempt; zero if there was none.
func (s JobState) Duration() time.Duration {
	if s.Finished.IsZero() {
		return 0
	}
	return s.Finished.Sub(s.Started)
}

// A Deployment is an environment that a job acted on.
type Deployment struct {
	Name   string `json:"name"`
	URL    string `json:"url,omitempty"`
	Action string `json:"action,omitempty"`
	// OnStop is the job that stops the environment.
	OnStop string `json:"on_stop,omitempty"`
}

// A RunStatus is the state of a run.
type RunStatus string

// The states of a run. A run is interrupted if its process ended without recording another state.
const (
	RunRunning     RunStatus = "running"
	RunSuccess     RunStatus = "success"
	RunFailed      RunStatus = "failed"
	RunCanceled    RunStatus = "canceled"
	RunWaiting     RunStatus = "waiting"
	RunInterrupted RunStatus = "interrupted"
)

// A Result is the state of a run when [Run] or [Resume] returns.
type Result struct {
	// Run is the run's number, CI_PIPELINE_ID and CI_PIPELINE_IID of its jobs. Child pipelines have separate numbers.
	Run    int       `json:"run"`
	Status RunStatus `json:"status"`
	// Dir is the run's folder.
	Dir string `json:"dir"`
	// Jobs are in the plan's order, each child pipeline's after the job that triggers it.
	Jobs     []JobState    `json:"jobs"`
	Duration time.Duration `json:"duration"`
}

// Gates returns the blocking manual jobs that a run waits for.
func (r Result) Gates() []JobState {
	var gates []JobState
	for _, j := range r.Jobs {
		if j.Status == Manual && j.Blocking {
			gates = append(gates, j)
		}
	}
	return gates
}
