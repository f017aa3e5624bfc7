package pipeline

import (
	"slices"
	"strconv"

	"gitlab.com/slipway-ci/slipway/internal/spelling"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// maxRetries is how often a job may be run again.
const maxRetries = 2

// retryReasons are GitLab's reasons for failures, and always.
var retryReasons = []string{
	"always", "unknown_failure", "script_failure", "api_failure", "stuck_or_timeout_failure", "runner_system_failure",
	"missing_dependency_failure", "runner_unsupported", "stale_schedule", "job_execution_timeout", "archived_failure",
	"unmet_prerequisites", "scheduler_failure", "data_integrity_failure", "forward_deployment_failure", "user_blocked",
	"project_deleted", "insufficient_bridge_permissions", "downstream_bridge_project_not_found",
	"invalid_bridge_trigger", "upstream_bridge_project_not_found", "insufficient_upstream_permissions", "protected_environment_failure",
	"bridge_pipeline_is_child_pipeline", "downstream_pipeline_creation_failed", "secrets_provider_not_found",
	"reached_max_descendant_pipelines_depth", "ip_restriction_failure", "ci_quota_exceeded", "no_matching_runner",
	"trace_size_exceeded", "builds_disabled", "environment_creation_failure", "deployment_rejected",
	"failed_outdated_deployment_job", "pipeline_loop_detected", "reached_max_pipeline_hierarchy_size",
	"runner_provisioning_timeout", "job_token_expired", "runner_configuration_error", "job_router_failure",
	"job_execution_server_timeout", "reached_downstream_pipeline_trigger_rate_limit", "duo_workflow_not_allowed",
	// Newer than 18.11, and in use on gitlab.com.
	"runner_external_dependency_failure", "runner_interrupted",
}

// retry validates the keyword `retry`: a number, or a hash.
func (c *checker) retry(p *keyPath, n *node) *Retry {
	switch n.Kind {
	case yamltree.Int:
		return &Retry{Max: c.retryMax(p, n)}
	case yamltree.Mapping:
	default:
		c.Fail(p, n, "", "should be a number or a hash, not %s", yamltree.Describe(n))
		return nil
	}
	r := &Retry{NoMax: true}
	c.AllowedKeys(p, n, "max", "when", "exit_codes")
	if v := n.Get("max"); !v.IsNull() {
		r.Max, r.NoMax = c.retryMax(p.Child("max"), v), false
	}
	if c.OptionalStringOrStrings(p, n, "when") {
		r.When = check.StringList(n.Get("when"))
		for _, reason := range r.When {
			if !slices.Contains(retryReasons, reason) {
				c.Fail(p.Child("when"), n.Get("when"), c.similar(reason, retryReasons), "%q is not a valid reason for a retry", reason)
			}
		}
	}
	r.ExitCodes = c.exitCodes(p, n)
	return r
}

func (c *checker) similar(word string, words []string) string {
	if similar := spelling.Closest(word, words); similar != "" {
		return "did you mean " + similar + "?"
	}
	return "always is one"
}

func (c *checker) retryMax(p *keyPath, n *node) int {
	count, ok := n.Integer()
	if check.IsString(n) { // GitLab takes a number in quotes for max
		number, err := strconv.Atoi(n.Text)
		count, ok = number, err == nil
	}
	if !ok || count < 0 || count > maxRetries {
		c.Fail(p, n, "", "should be a number from 0 to %d, not %s", maxRetries, yamltree.Describe(n))
		return 0
	}
	return count
}

// exitCodes reads the key exit_codes: a number or a list of numbers.
func (c *checker) exitCodes(p *keyPath, n *node) []int {
	v := n.Get("exit_codes")
	if v.IsNull() {
		return nil
	}
	items := []*node{v}
	if v.Kind == yamltree.Sequence {
		items = v.Items
	}
	codes := make([]int, 0, len(items))
	for _, item := range items {
		code, ok := item.Integer()
		if !ok {
			c.Fail(p.Child("exit_codes"), item, "", "should be numbers, not %s", yamltree.Describe(item))
			return nil
		}
		codes = append(codes, code)
	}
	return codes
}

// gitLab returns a number if only the maximum is given.
func (r *Retry) gitLab() any {
	if !r.NoMax && r.When == nil && r.ExitCodes == nil {
		return r.Max
	}
	m := map[string]any{}
	if !r.NoMax {
		m["max"] = r.Max
	}
	putList(m, "when", r.When)
	putList(m, "exit_codes", r.ExitCodes)
	return m
}
