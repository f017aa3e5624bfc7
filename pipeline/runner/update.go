package runner

import "time"

// A Kind is the kind of an [Update].
type Kind string

// The kinds of updates.
const (
	// RunStarted comes first; Message describes the run.
	RunStarted Kind = "run_started"
	// JobWaiting: a job waits for its resource group, or for its time if it is delayed. Message names it.
	JobWaiting Kind = "job_waiting"
	JobStarted Kind = "job_started"
	// JobOutput is a line of a job's log, in Message, if [Options.Output] asks for them.
	JobOutput Kind = "job_output"
	// JobRetried: an attempt failed, and another follows.
	JobRetried Kind = "job_retried"
	// JobFinished: a job succeeded, failed, was canceled, or will be skipped.
	JobFinished Kind = "job_finished"
	// JobGate: a manual job can be started.
	JobGate Kind = "job_gate"
	// Note is a remark, in Message.
	Note Kind = "note"
	// RunFinished comes last, with Result.
	RunFinished Kind = "run_finished"
)

// An Update is an event in a run.
type Update struct {
	Time    time.Time `json:"time"`
	Kind    Kind      `json:"kind"`
	Run     int       `json:"run"`
	Job     *JobState `json:"job,omitempty"`
	Message string    `json:"message,omitempty"`
	// Log is the path of the job's log.
	Log    string  `json:"log,omitempty"`
	Result *Result `json:"result,omitempty"`
}
