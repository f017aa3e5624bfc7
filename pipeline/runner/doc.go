// Package runner executes a [pipeline.Plan] on this machine with the semantics of GitLab and its runner.
//
// A run owns a folder, .slipway/runs/<number> in the project: the plan, the state of every job, logs, artifacts, reports,
// and a snapshot of the sources. Every job gets its own clean checkout of that snapshot. Because all of it stays, a run that
// stopped at a manual job can go on later, with what was tested then: see [Resume].
//
// Jobs are processes of this machine, or containers if docker or podman is available. Nothing that a job started outlives it.
package runner
