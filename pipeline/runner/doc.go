// Package runner executes a [pipeline.Plan] on this machine with the semantics of GitLab and its runner.
//
// A run owns a folder, .slipway/runs/<number> in the project: the plan, the state of every job, logs, artifacts, reports,
// and a snapshot of the sources. Every job gets its own clean checkout of that snapshot. Since all of it is kept, a run that
// stopped at a manual job can be resumed later with the same sources: see [Resume].
//
// Jobs are processes of this machine, or containers if docker or podman is available. No process that a job starts outlives it.
package runner
