package lint

import (
	"fmt"

	"gitlab.com/slipway-ci/slipway/pipeline"
)

// checkUpstreamNeeds reports the jobs of child pipelines that need a job of a parent pipeline that cannot have passed
// ([pipeline.Plan.UnmetNeeds]).
func (p *pass) checkUpstreamNeeds(plan *pipeline.Plan) {
	for _, unmet := range plan.UnmetNeeds() {
		at, path := p.place(unmet.Job, "needs")
		finding := Finding{Position: at, Path: path}
		job, trigger := unmet.Job.BaseName, unmet.Trigger.BaseName
		if unmet.Missing {
			finding.Message = fmt.Sprintf("in the child pipeline of %s: the pipeline that starts it has no job %q", trigger, unmet.Need.Job)
			finding.Hint = fmt.Sprintf("%s fails without its artifacts: name a job that has the same rules as %s", job, trigger)
		} else {
			finding.Message = fmt.Sprintf("in the child pipeline of %s: it can start before %s has passed", trigger, unmet.Need.Job)
			finding.Hint = fmt.Sprintf("%s does not wait for other pipelines: let %s need %s, or put it into a later stage", job, trigger, unmet.Need.Job)
		}
		p.report(finding)
	}
}
