package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
)

// Retry runs jobs of a run again, with the run's own sources, artifacts and variables, and then what depends on them. Without
// names these are the jobs that failed, were canceled, or were interrupted; without a number it is the latest run.
func Retry(ctx context.Context, number int, names []string, options Options) (Result, error) {
	begun := time.Now()
	r, err := reopen(ctx, number, options, func(runState, int, store, []int) error { return nil })
	if err != nil {
		return Result{}, err
	}
	defer r.held.Unlock()
	nodes, err := r.retryable(names)
	if err != nil {
		return Result{}, err
	}
	if err := setInputs(nodes, options.Inputs); err != nil {
		return Result{}, err
	}
	for _, n := range nodes {
		if err := r.reset(n); err != nil {
			return Result{}, explain(err, r.options.CacheDir)
		}
	}
	if err := r.checkEngine(); err != nil {
		return Result{}, err
	}
	return r.goOn(ctx, begun)
}

// retryable returns the jobs to run again.
func (r *run) retryable(names []string) ([]*node, error) {
	var nodes []*node
	if len(names) == 0 {
		for _, n := range r.nodes {
			bridgeOfChild := n.child != nil && n.child.begun
			if !bridgeOfChild && (n.state.Status == Failed && !n.state.Allowed || n.state.Status == Canceled || !n.state.Started.IsZero() && !n.state.Status.finished()) {
				nodes = append(nodes, n)
			}
		}
		if len(nodes) == 0 {
			return nil, fmt.Errorf("in run %d nothing failed: name the job to run again", r.number)
		}
		return nodes, nil
	}
	for _, name := range names {
		found := r.named(name)
		if len(found) == 0 {
			return nil, fmt.Errorf("run %d has no job %q", r.number, name)
		}
		for _, n := range found {
			switch n.state.Status {
			case Success, Failed, Canceled:
				nodes = append(nodes, n)
			default:
				return nil, fmt.Errorf("%s of run %d is %s: only a job that has run can run again", n.state.Name, r.number, n.state.Status)
			}
		}
	}
	return nodes, nil
}

// reset makes a job, and the jobs that were skipped because of it, pending again.
func (r *run) reset(n *node) error {
	if n.child != nil {
		return errors.New(n.state.Name + " runs a child pipeline: name the jobs of that, or start over with `slipway run`")
	}
	if err := filetree.Remove(r.folder(n.state.Slug)); err != nil {
		return err
	}
	fresh := JobState{Name: n.state.Name, BaseName: n.state.BaseName, Slug: n.state.Slug, Stage: n.state.Stage, Status: Created, Blocking: n.state.Blocking, Held: n.state.Held,
		Inputs: n.state.Inputs}
	// Running a manual job again approves it.
	n.approved = n.state.Played
	*n.state = fresh
	n.graph.resetSkipped(n)
	if bridge := n.graph.bridge; bridge != nil && bridge.job.Trigger.Strategy != "" && bridge.state.Status.finished() {
		bridge.state.Status, bridge.state.Failure, bridge.state.Error, bridge.state.Allowed = Running, "", "", false
		bridge.graph.resetSkipped(bridge)
	}
	return nil
}
