package progress

import (
	"encoding/json"
	"io"

	"gitlab.com/slipway-ci/slipway/pipeline/runner"
)

// JSON returns an observer that writes every update as a line of JSON. Dotenv variables are left out: they can be secrets.
func JSON(w io.Writer) func(runner.Update) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return func(u runner.Update) {
		if u.Job != nil {
			job := *u.Job
			job.Dotenv = nil
			u.Job = &job
		}
		if u.Result != nil {
			result := *u.Result
			result.Jobs = nil
			for _, j := range u.Result.Jobs {
				j.Dotenv = nil
				result.Jobs = append(result.Jobs, j)
			}
			u.Result = &result
		}
		// The run continues if nobody reads its output any more.
		_ = encoder.Encode(u)
	}
}
