package pipeline

import (
	"context"

	"gitlab.com/slipway-ci/slipway/internal/concurrent"
)

// An Outcome is the result of compiling an event: a Plan, or the error of [Project.Plan].
type Outcome struct {
	Event Event
	Plan  *Plan
	Err   error
}

// PlanAll compiles the configuration for each event, in parallel, and returns the outcomes in the order of the events.
// After ctx has ended, the remaining outcomes have its error.
func (p *Project) PlanAll(ctx context.Context, events []Event) []Outcome {
	outcomes := make([]Outcome, len(events))
	compile := func(i int) {
		outcomes[i].Event = events[i]
		if outcomes[i].Err = ctx.Err(); outcomes[i].Err == nil {
			outcomes[i].Plan, outcomes[i].Err = p.Plan(ctx, events[i])
		}
	}
	if len(events) == 0 {
		return outcomes
	}
	// The others find the configuration of the first, as far as they have the same facts.
	compile(0)
	concurrent.Do(len(events)-1, func(i int) { compile(i + 1) })
	return outcomes
}
