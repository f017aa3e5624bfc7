package pipeline

import (
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/internal/check"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/duration"
	"gitlab.com/slipway-ci/slipway/pipeline/internal/yamltree"
)

// Limits of durations: a delay is at most a week, a timeout at most Rails' month. GitLab says "less than", but compares
// times that it takes one after the other, so that the limit itself passes.
const (
	maxDelay   = 7 * 24 * time.Hour
	maxTimeout = 2629746 * time.Second
)

// limitNames are the limits as people say them.
var limitNames = map[time.Duration]string{maxDelay: "a week", maxTimeout: "a month"}

// duration validates a duration, at most limit, which is one of limitNames or zero for none.
func (c *checker) duration(p *keyPath, n *node, limit time.Duration) time.Duration {
	const form = "write for example 30 minutes, 2h or 1 week"
	if !check.IsString(n) {
		c.Fail(p, n, form, "should be a duration, not %s", yamltree.Describe(n))
		return 0
	}
	d, err := duration.Parse(n.Text)
	switch {
	case err != nil:
		c.Fail(p, n, form, "%q is not a valid duration: %v", yamltree.Shorten(n.Text), err)
	case limit > 0 && d > limit:
		c.Fail(p, n, "", "should not be more than %s", limitNames[limit])
	}
	return d
}

// startIn validates the delay of a job or a rule with `when: delayed`.
func (c *checker) startIn(p *keyPath, parent *node) time.Duration {
	n := parent.Get("start_in")
	if n.IsBlank() {
		c.Fail(p, parent, "add for example start_in: 30 minutes", "start_in is missing")
		return 0
	}
	return c.duration(p, n, maxDelay)
}
