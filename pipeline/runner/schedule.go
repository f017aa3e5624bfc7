package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filelock"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
)

// A message is sent by a job's goroutine to the schedule.
type message struct {
	node    *node
	started time.Time
	// waiting is what the job waits for; done is set when the attempt has ended.
	waiting string
	status  Status
	done    *outcome
}

// A schedule starts the jobs of a run in their order. One goroutine owns the state of all jobs; attempts run in theirs.
type schedule struct {
	run      *run
	messages chan message
	// active counts the attempts that are running or waiting for their turn.
	active int
	// jobs is the context of all attempts, which cancel ends; canceled reports that no others start.
	jobs     context.Context
	cancel   context.CancelFunc
	canceled bool
	// asked are the manual jobs that a person did not want to start.
	asked map[*node]bool
	// fatal is the error of the machine that has ended the run.
	fatal error
}

// execute runs jobs until none can start without a person. It returns an error only if the machine failed.
func (r *run) execute(ctx context.Context) error {
	jobs, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &schedule{run: r, messages: make(chan message), jobs: jobs, cancel: cancel, asked: map[*node]bool{}}
	interrupted := ctx.Done()
	for {
		if !s.canceled {
			if err := s.startReady(); err != nil {
				s.fail(err)
			}
		}
		if s.active == 0 {
			again, err := s.askAtGate(ctx)
			if err != nil {
				s.fail(err)
			}
			if again && !s.canceled {
				continue
			}
			break
		}
		select {
		case m := <-s.messages:
			s.handle(m)
		case <-interrupted:
			interrupted = nil
			s.canceled = true
			r.update(Note, nil, fmt.Sprintf("stopping: jobs have %s to end; interrupt again to kill them", r.options.Grace))
		}
	}
	if s.canceled {
		s.cancelRest()
	}
	return s.fatal
}

// fail ends the run because of an error of the machine.
func (s *schedule) fail(err error) {
	if s.fatal == nil {
		s.fatal = err
	}
	s.canceled = true
	s.cancel()
}

// startReady starts every job that can start, and settles those that will not run. Each decision can allow others, so
// it repeats until nothing changes.
func (s *schedule) startReady() error {
	for changed := true; changed; {
		changed = false
		for _, n := range s.run.nodes {
			if !n.graph.begun {
				continue
			}
			if n.child != nil && n.state.Status == Running {
				if s.settleBridge(n) {
					changed = true
				}
				continue
			}
			if n.state.Status != Created && (n.state.Status != Manual || !n.approved) {
				continue
			}
			if n.job.Environment != nil && !n.job.Environment.HasValidName() {
				s.refuseEnvironment(n)
				if err := s.run.save(); err != nil {
					return err
				}
				changed = true
				continue
			}
			step := n.next()
			if step == wait {
				continue
			}
			changed = true
			if (step == start || step == delay) && s.run.holds(n) {
				step = block
				n.state.Held, n.state.Blocking = true, !n.job.AllowFailure
			}
			switch step {
			case start:
				s.start(n, 0)
			case delay:
				d := n.job.StartIn
				if s.run.options.NoDelay {
					d = 0
				}
				s.start(n, d)
			case block:
				n.state.Status = Manual
				n.state.Confirmation = s.confirmation(n)
				s.run.update(JobGate, n, n.state.Confirmation)
			case skip:
				n.state.Status = Skipped
				s.run.update(JobFinished, n, "")
			}
			if err := s.run.save(); err != nil {
				return err
			}
		}
	}
	return nil
}

// start starts a job, or the child pipeline that it triggers.
func (s *schedule) start(n *node, after time.Duration) {
	if n.state.Status == Manual {
		n.graph.resetSkipped(n)
	}
	n.state.Played = n.job.When == pipeline.Manual || n.state.Held
	if n.job.Trigger != nil {
		s.trigger(n)
		return
	}
	n.state.Status = Pending
	s.attempt(n, 1, after)
}

// attempt starts one execution of a job, after a delay.
func (s *schedule) attempt(n *node, number int, after time.Duration) {
	r, ctx := s.run, s.jobs
	if number > 1 {
		// The files of an earlier attempt do not belong to this one.
		for _, kept := range []string{artifactsFolder, reportsFolder} {
			if err := filetree.Remove(filepath.Join(r.folder(n.state.Slug), kept)); err != nil {
				s.fail(err)
				return
			}
		}
	}
	n.state.ID, n.state.Attempts = r.newID(), number
	n.expandInputs()
	onMachine := r.executorConfig().RunsOnMachine(r.image(n.job) != nil)
	n.state.ImageIgnored, n.state.ServicesIgnored = onMachine && n.job.Image != nil, onMachine && len(n.job.Services) > 0
	a := &attempt{
		run: r, node: n, id: n.state.ID, number: number, dotenv: n.dotenv(), pipelineID: r.pipelineID(n.graph), pipelineVariables: r.pipelineVariables(n.graph),
	}
	for _, source := range n.sources {
		a.sources = append(a.sources, *source.state)
	}
	others, err := r.fromOtherPipelines(n)
	a.unmet = err
	for _, source := range others {
		a.sources = append(a.sources, source)
		a.dotenv = append(a.dotenv, source.Dotenv...)
	}
	s.active++
	// A job that waits for nothing else gets its place in the queue here: in its goroutine it would get any.
	var turn chan struct{}
	if after == 0 && n.job.ResourceGroup == "" {
		turn = r.slots.ask()
	}
	go func() {
		tell := func(m message) {
			m.node = n
			s.messages <- m
		}
		result := outcome{status: Canceled}
		defer func() { tell(message{done: &result}) }()
		if after > 0 {
			tell(message{status: Scheduled, waiting: fmt.Sprintf("starts in %s", after)})
			select {
			case <-ctx.Done():
				return
			case <-time.After(after):
			}
		}
		// The resource first: a job that waits for one must not occupy a slot.
		if group := n.job.ResourceGroup; group != "" {
			held, err := filelock.Wait(ctx, r.store.resourceLock(group), true, func() {
				tell(message{status: Waiting, waiting: "waits for the resource group " + group})
			})
			if err != nil {
				if ctx.Err() == nil {
					result = a.broken(err)
				}
				return
			}
			defer held.Unlock()
		}
		if turn == nil {
			turn = r.slots.ask()
		}
		defer r.slots.release(turn)
		select {
		case <-ctx.Done():
			return
		case <-turn:
		}
		a.started = time.Now()
		tell(message{status: Running, started: a.started})
		result = r.backend.execute(ctx, a)
	}()
}

// dotenv returns the variables that earlier jobs pass on to this one.
func (n *node) dotenv() []pipeline.Variable {
	var variables []pipeline.Variable
	for _, source := range n.sources {
		variables = append(variables, source.state.Dotenv...)
	}
	return variables
}

// handle processes a message of a job's goroutine, and saves the state, which other processes may follow.
func (s *schedule) handle(m message) {
	if m.done == nil {
		s.waitOrStart(m)
	} else {
		if m.done.fatal {
			s.fail(fmt.Errorf("%s: %w", m.node.state.Name, m.done.err))
		}
		s.active--
		s.settle(m.node, *m.done)
	}
	if err := s.run.save(); err != nil {
		s.fail(err)
	}
}

// waitOrStart records that a job waits or has started.
func (s *schedule) waitOrStart(m message) {
	n, r := m.node, s.run
	n.state.Status = m.status
	if m.status == Running {
		n.state.Started, n.state.Finished = m.started, time.Time{}
		r.update(JobStarted, n, "")
	} else {
		r.update(JobWaiting, n, m.waiting)
	}
}

// settle records the outcome of an attempt, and starts the next one if the job is retried.
func (s *schedule) settle(n *node, o outcome) {
	state := n.state
	state.Finished = time.Now()
	if state.Started.IsZero() {
		state.Started = state.Finished
	}
	state.Status, state.Failure, state.ExitCode, state.Error = o.status, o.failure, o.exitCode, ""
	state.Coverage, state.Dotenv, state.Reports, state.Environment = o.coverage, o.dotenv, o.reports, o.environment
	if o.status == Failed {
		state.Error = o.err.Error()
		if !s.canceled && shouldRetry(n.job.Retry, state.Attempts, o.failure, o.exitCode) {
			s.run.update(JobRetried, n, fmt.Sprintf("%s; attempt %d of %d", state.Error, state.Attempts+1, n.job.Retry.Max+1))
			state.Status = Pending
			s.attempt(n, state.Attempts+1, 0)
			return
		}
		state.Allowed = failureAllowed(n.job, o.failure, o.exitCode)
	}
	s.run.update(JobFinished, n, "")
	if c := s.run.definition.Plan.AutoCancel; c != nil && c.OnJobFailure == "all" && o.status == Failed && !state.Allowed && !s.canceled {
		s.run.update(Note, nil, "workflow:auto_cancel:on_job_failure is all: canceling the rest")
		s.canceled = true
		s.cancel()
	}
}

// refuseEnvironment fails a job whose environment GitLab could not create. GitLab does so when it creates the pipeline: before the job
// could start, also if it is manual, and without a retry.
func (s *schedule) refuseEnvironment(n *node) {
	state := n.state
	state.Started = time.Now()
	state.Status, state.Failure, state.Finished = Failed, EnvironmentFailure, state.Started
	state.Error = fmt.Sprintf("the environment's name becomes %q, which GitLab refuses: set the variables in it, or use a slug like $CI_COMMIT_REF_SLUG", n.job.Environment.Name)
	state.Allowed = failureAllowed(n.job, EnvironmentFailure, 0)
	s.run.update(JobFinished, n, "")
}

// trigger runs the child pipeline of a job as a part of this run.
func (s *schedule) trigger(n *node) {
	t := n.job.Trigger
	n.state.Started = time.Now()
	finish := func(o outcome) { s.settle(n, o) }
	if t.Child == nil && len(t.ArtifactJobs()) > 0 {
		if err := s.run.generate(s.jobs, n); err != nil {
			s.fail(err)
		}
		t = n.job.Trigger
	}
	switch {
	case t.Project != "":
		s.run.update(Note, n, "the pipeline of "+t.Project+" is not started here")
		finish(outcome{status: Success})
	case t.ChildError() != nil:
		finish(outcome{status: Failed, failure: TriggerFailure, err: fmt.Errorf("the child pipeline cannot be compiled: %w", t.ChildError())})
	case n.child == nil:
		finish(outcome{status: Failed, failure: TriggerFailure, err: errors.New("the child pipeline has no jobs for this event")})
	default:
		n.state.Status = Running
		n.state.ID, n.state.ChildPipeline = s.run.newID(), s.run.newID()
		n.child.begun = true
		s.run.forward(n)
		s.run.update(JobStarted, n, "")
		if t.Strategy == "" {
			finish(outcome{status: Success})
		}
	}
}

// generate compiles the child pipeline of a job from the artifacts of earlier jobs, and adds it to the run.
func (r *run) generate(ctx context.Context, n *node) error {
	job := *n.job
	read := func(job, name string) ([]byte, error) {
		for _, source := range n.graph.named(job) {
			root, err := os.OpenRoot(filepath.Join(r.folder(source.state.Slug), artifactsFolder))
			if err != nil {
				continue
			}
			defer root.Close()
			if content, err := root.ReadFile(name); err == nil {
				return content, nil
			}
		}
		return nil, fmt.Errorf("the artifacts of %s have no file %s", job, name)
	}
	trigger := *n.job.Trigger
	if r.options.ChildPlan == nil {
		trigger.ChildUnknown = "its configuration is an artifact, and the project is not known here"
	} else if compiled, err := r.options.ChildPlan(ctx, n.graph.plan, n.job, read); err != nil {
		return err
	} else {
		trigger = *compiled
	}
	job.Trigger = &trigger
	n.graph.plan.Jobs[slices.Index(n.graph.plan.Jobs, n.job)] = &job
	n.job = &job
	if child := trigger.Child; child != nil && child.Created {
		n.child = newGraph(trigger.Child, n, n.state.Name+" / ", r.slugs)
		r.nodes = r.graph.all()
	}
	return r.define()
}

// forward passes to the child pipeline the triggering job's variables as they are now: with dotenv reports, and the number of this pipeline.
func (r *run) forward(n *node) {
	if forward, given := n.job.Trigger.Forward["yaml_variables"]; given && !forward {
		return
	}
	// The caller's plan is not changed.
	child := *n.child.plan
	child.Run = slices.Clone(child.Run)
	n.child.plan = &child
	now := map[string]string{}
	for _, v := range n.graph.plan.Environment(n.job, n.dotenv(), r.pipelineVariables(n.graph)) {
		now[v.Key] = v.Value
	}
	for _, own := range n.job.Variables {
		value, known := now[own.Key]
		if !known {
			continue
		}
		// The value is expanded already.
		forwarded := pipeline.Variable{Key: own.Key, Value: value, Raw: true}
		if i := slices.IndexFunc(child.Run, func(v pipeline.Variable) bool { return v.Key == own.Key }); i >= 0 {
			child.Run[i] = forwarded
		} else {
			child.Run = append(child.Run, forwarded)
		}
	}
}

// settleBridge ends a job that waits for its child pipeline when that has ended.
func (s *schedule) settleBridge(n *node) bool {
	switch status := n.child.outcome(); status {
	case Running:
		return false
	case Success:
		s.settle(n, outcome{status: Success})
	case Canceled:
		s.settle(n, outcome{status: Canceled})
	default:
		s.settle(n, outcome{status: Failed, failure: ScriptFailure, err: errors.New("its child pipeline failed")})
	}
	return true
}

// confirmation returns the question before a manual job is started, with the job's variables expanded.
func (s *schedule) confirmation(n *node) string {
	text := n.job.ManualConfirmation
	switch {
	case n.state.Held:
		return fmt.Sprintf("%s deploys to %s. Run it?", n.state.Name, n.job.Environment.Name)
	case text == "":
		return "Run " + n.state.Name + "?"
	}
	a := &attempt{run: s.run, node: n, build: &build{}, dotenv: n.dotenv(), pipelineVariables: s.run.pipelineVariables(n.graph), started: time.Now()}
	env := environmentOf(n.graph.plan, n.job, a.dotenv, a.predefined(), "")
	out := new(maskedText)
	m := newMaskingWriter(out, env.secrets)
	_, _ = m.Write([]byte(env.expand(text)))
	_ = m.Flush()
	return string(*out)
}

// maskedText collects the output of a maskingWriter.
type maskedText []byte

func (t *maskedText) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	return len(p), nil
}

// askAtGate asks a person about one blocking manual job if [Options.Confirm] is set and no job has failed, and reports whether the
// run continues.
func (s *schedule) askAtGate(ctx context.Context) (bool, error) {
	confirm := s.run.options.Confirm
	if confirm == nil || s.canceled || s.run.status() == RunFailed {
		return false, nil
	}
	for _, n := range s.run.nodes {
		if n.state.Status != Manual || !n.state.Blocking || s.asked[n] {
			continue
		}
		s.asked[n] = true
		var err error
		n.approved, err = confirm(ctx, *n.state)
		if errors.Is(err, context.Canceled) {
			// An interrupted question does not start the job.
			return false, nil
		}
		if err != nil || n.approved {
			return n.approved, err
		}
	}
	return false, nil
}

// cancelRest settles the jobs that will not start any more.
func (s *schedule) cancelRest() {
	for _, n := range s.run.nodes {
		if n.graph.begun && !n.state.Status.finished() {
			n.state.Status = Canceled
			s.run.update(JobFinished, n, "")
		}
	}
}
