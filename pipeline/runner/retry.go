package runner

import (
	"slices"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// shouldRetry reports whether a failed job gets another attempt. With neither `when` nor `exit_codes` every
// failure does; with both, either is enough.
func shouldRetry(retry *pipeline.Retry, attempts int, failure Failure, exitCode int) bool {
	if retry == nil || attempts > retry.Max {
		return false
	}
	if len(retry.When) == 0 && len(retry.ExitCodes) == 0 {
		return true
	}
	if failure == ScriptFailure && slices.Contains(retry.ExitCodes, exitCode) {
		return true
	}
	return slices.Contains(retry.When, "always") || slices.Contains(retry.When, string(failure))
}

// failureAllowed reports whether a failure does not fail the pipeline.
func failureAllowed(job *pipeline.Job, failure Failure, exitCode int) bool {
	if len(job.AllowFailureExitCodes) > 0 {
		return failure == ScriptFailure && slices.Contains(job.AllowFailureExitCodes, exitCode)
	}
	return job.AllowFailure
}
