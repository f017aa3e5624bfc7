package runner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filelock"
)

// Resume continues a run that has ended at a manual job: it starts the job, with the sources, artifacts and variables
// of that run, and then what depends on it. Without a number it takes the latest run, without a name the one job that
// blocks it. It refuses runs that failed, jobs that were started already, and runs in progress elsewhere.
func Resume(ctx context.Context, number int, job string, options Options) (Result, error) {
	begun := time.Now()
	r, err := reopen(ctx, number, options, refusal)
	if err != nil {
		return Result{}, err
	}
	defer r.held.Unlock()
	nodes, err := r.playable(job)
	if err != nil {
		return Result{}, err
	}
	if err := setInputs(nodes, options.Inputs); err != nil {
		return Result{}, err
	}
	for _, n := range nodes {
		n.approved = true
	}
	return r.goOn(ctx, begun)
}

// reopen loads and locks a run that has ended, unless refuse returns an error.
func reopen(ctx context.Context, number int, options Options, refuse refusalFunc) (_ *run, err error) {
	recorded, number, held, err := take(options.Dir, number, refuse)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			held.Unlock()
		}
	}()
	options.Executor, options.PassEnv, options.Tools = recorded.Definition.Executor, recorded.Definition.PassEnv, recorded.Definition.Tools
	if options.Tools != "" {
		if _, err := os.Stat(options.Tools); err != nil {
			return nil, fmt.Errorf("the tools that run %d was made with are gone (%s): start over with `slipway run`", number, options.Tools)
		}
	}
	options.ApproveHint = recorded.Definition.Hint
	options.NoSandbox, options.Writable, options.Containers = recorded.Definition.NoSandbox, recorded.Definition.Writable, recorded.Definition.Containers
	options.GitLabRunner = recorded.Definition.GitLabRunner
	r, err := newRun(ctx, options)
	if err != nil {
		return nil, err
	}
	if r.store, err = openStore(r.project); err != nil {
		return nil, explain(err, r.options.CacheDir)
	}
	r.number, r.held, r.definition, r.state = number, held, recorded.Definition, recorded.State
	r.link()
	return r, r.restore()
}

// goOn continues a reopened run.
func (r *run) goOn(ctx context.Context, begun time.Time) (Result, error) {
	r.sweep(ctx)
	r.state.Status = RunRunning
	if err := r.save(); err != nil {
		return Result{}, explain(err, r.options.CacheDir)
	}
	r.update(RunStarted, nil, r.title())
	return r.complete(ctx, begun)
}

// A refusalFunc returns why a run cannot continue; nil if it can.
type refusalFunc func(state runState, number int, s store, numbers []int) error

// take finds and locks the run to continue.
func take(project string, number int, refuse refusalFunc) (record, int, *filelock.Lock, error) {
	s, err := storeOf(project)
	if err != nil {
		return record{}, 0, nil, err
	}
	numbers, err := s.numbers()
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(numbers) == 0 {
		return record{}, 0, nil, errNoRun
	}
	if err != nil {
		return record{}, 0, nil, err
	}
	latest := numbers[len(numbers)-1]
	if number == 0 {
		number = latest
	}
	if !slices.Contains(numbers, number) {
		return record{}, 0, nil, fmt.Errorf("there is no run %d; runs that are kept: %s", number, join(numbers))
	}
	held, err := s.lock(number)
	if err != nil {
		return record{}, 0, nil, err
	}
	recorded, err := s.load(number)
	if err == nil {
		err = refuse(recorded.State, number, s, numbers)
	}
	if err != nil {
		held.Unlock()
		return record{}, 0, nil, err
	}
	return recorded, number, held, nil
}

// refusal returns why a run cannot continue with a manual job; nil if it can.
func refusal(state runState, number int, s store, numbers []int) error {
	var problem string
	switch state.Status {
	case RunWaiting, RunSuccess:
		return nil
	case RunFailed:
		problem = fmt.Sprintf("run %d failed: what did not pass is not approved", number)
	case RunCanceled:
		problem = fmt.Sprintf("run %d was canceled", number)
	default:
		problem = fmt.Sprintf("run %d was interrupted before it ended", number)
	}
	var waiting []int
	for _, other := range numbers {
		if r, err := s.load(other); err == nil && r.State.Status == RunWaiting {
			waiting = append(waiting, other)
		}
	}
	if len(waiting) > 0 {
		return fmt.Errorf("%w: %s; waiting for approval: run %s", ErrNotWaiting, problem, join(waiting))
	}
	return fmt.Errorf("%s: start over with `slipway run`", problem)
}

// ErrNotWaiting is wrapped by the error for a run that does not wait for approval, while others do.
var ErrNotWaiting = errors.New("the run does not wait for approval")

// restore sets the jobs to their recorded state.
func (r *run) restore() error {
	known := map[string]JobState{}
	for _, j := range r.state.Jobs {
		known[j.Name] = j
	}
	for _, n := range r.nodes {
		state, ok := known[n.state.Name]
		if !ok {
			return fmt.Errorf("run %d: the state of %s is missing", r.number, n.state.Name)
		}
		*n.state = state
		if n.child != nil && !state.Started.IsZero() {
			n.child.begun = true
			r.forward(n)
		}
	}
	return nil
}

// playable returns the manual job to run, or all instances of a parallel one.
func (r *run) playable(name string) ([]*node, error) {
	if name == "" {
		var gates []string
		for _, n := range r.nodes {
			if n.state.Status == Manual && n.state.Blocking {
				gates = append(gates, n.state.Name)
			}
		}
		switch len(gates) {
		case 0:
			return nil, fmt.Errorf("run %d is not waiting for approval; its manual jobs: %s", r.number, r.manualJobs())
		case 1:
			name = gates[0]
		default:
			return nil, fmt.Errorf("run %d waits for several jobs: name one of %s", r.number, strings.Join(gates, ", "))
		}
	}
	nodes := r.named(name)
	if len(nodes) == 0 {
		return nil, fmt.Errorf("run %d has no job %q; its manual jobs: %s", r.number, name, r.manualJobs())
	}
	var ready []*node
	var err error
	for _, n := range nodes {
		switch {
		case n.job.When != pipeline.Manual && !n.state.Held:
			err = fmt.Errorf("%s is not a manual job; manual jobs of run %d: %s", n.state.Name, r.number, r.manualJobs())
		case n.state.Played:
			err = fmt.Errorf("%s of run %d was already approved (%s): it %s", n.state.Name, r.number,
				n.state.Started.Format(time.DateTime), map[Status]string{Success: "succeeded", Failed: "failed"}[n.state.Status])
		case n.state.Status != Manual:
			err = fmt.Errorf("it is not %s's turn yet: it comes after jobs that have not run", n.state.Name)
		default:
			ready = append(ready, n)
		}
	}
	if len(ready) > 0 {
		return ready, nil
	}
	return nil, err
}

// errNoRun is the error for a project without runs.
var errNoRun = errors.New("there is no run yet: start one with `slipway run`")

func join(numbers []int) string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = strconv.Itoa(n)
	}
	return strings.Join(texts, ", ")
}
