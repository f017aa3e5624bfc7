package runner

import "gitlab.com/slipway-ci/slipway/pipeline"

// deploys reports whether a job changes an environment that others rely on.
func (n *node) deploys() bool {
	e := n.job.Environment
	if e == nil || e.Action != "" && e.Action != "start" {
		return false
	}
	tier := e.Tier()
	return tier == "staging" || tier == "production"
}

// holds reports whether a job that would start automatically waits for a person instead: a trial run on a developer's machine must not
// deploy by accident.
func (r *run) holds(n *node) bool {
	return n.job.When != pipeline.Manual && !n.approved && !r.options.Deploy && n.deploys()
}
