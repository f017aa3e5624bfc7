package pipeline

import (
	"context"
	"runtime"
	"sync"
)

// An Outcome is what an event leads to: a Plan, or the error that [Project.Plan] gives.
type Outcome struct {
	Event Event
	Plan  *Plan
	Err   error
}

// PlanAll compiles the configuration for each event, several at once, and gives the outcomes in the order of the events.
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
	// The first one reads the files, the others find them read.
	compile(0)
	next := make(chan int)
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(events)-1) {
		workers.Go(func() {
			for i := range next {
				compile(i)
			}
		})
	}
	for i := 1; i < len(events); i++ {
		next <- i
	}
	close(next)
	workers.Wait()
	return outcomes
}
