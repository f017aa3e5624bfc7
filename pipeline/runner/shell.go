package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/executor"
	"gitlab.com/slipway-ci/slipway/pipeline/runner/internal/filetree"
)

// Shell opens a shell at [Options.Terminal] instead of a job's script: with the job's image, services, sources, variables and
// caches, and with the artifacts of earlier jobs from the latest run in which they passed. Nothing of it is kept.
func Shell(ctx context.Context, plan *pipeline.Plan, name string, options Options) error {
	begun := time.Now()
	if options.Terminal == nil {
		return errors.New("runner: Options.Terminal is not set")
	}
	selected, err := Select(plan, []string{name})
	if err != nil {
		return err
	}
	if selected, err = shellPlan(selected, name); err != nil {
		return err
	}
	options.Named, options.Reuse, options.ShellOnFailure = []string{name}, true, false
	r, err := newRun(ctx, options)
	if err != nil {
		return err
	}
	if err := r.begin(ctx, selected); err != nil {
		return err
	}
	r.executor = executor.Interactive(r.executor, options.Terminal, true)
	defer func() {
		_ = filetree.Remove(r.store.run(r.number))
		r.held.Unlock()
		if numbers, err := r.store.numbers(); err == nil && len(numbers) > 0 {
			_ = r.store.link(numbers[len(numbers)-1])
		}
	}()
	for _, n := range r.nodes {
		if n.state.Status == Created && !n.approved {
			n.state.Status = Skipped
			if n.job.Artifacts != nil {
				r.update(Note, n, "has no result yet: its artifacts are missing")
			}
		}
	}
	result, err := r.complete(ctx, begun)
	if err != nil {
		return err
	}
	for _, job := range result.Jobs {
		if job.Status == Failed {
			return fmt.Errorf("%s: %s", job.Name, job.Error)
		}
	}
	return nil
}

// shellPlan returns a plan with a job that starts regardless of the others, and keeps nothing.
func shellPlan(plan *pipeline.Plan, name string) (*pipeline.Plan, error) {
	var instances []string
	changed := *plan
	changed.Jobs = slices.Clone(plan.Jobs)
	for i, job := range changed.Jobs {
		if job.Name != name && job.BaseName != name {
			continue
		}
		if job.Trigger != nil {
			return nil, fmt.Errorf("%s has no script: it starts a child pipeline", job.Name)
		}
		instances = append(instances, job.Name)
		open := *job
		open.When, open.Script, open.BeforeScript, open.AfterScript = pipeline.Always, []string{"true"}, nil, nil
		open.Artifacts, open.Retry, open.ResourceGroup, open.Coverage = nil, nil, "", ""
		open.Cache = slices.Clone(job.Cache)
		for c := range open.Cache {
			open.Cache[c].Policy = "pull"
		}
		changed.Jobs[i] = &open
	}
	if len(instances) > 1 && !slices.Contains(instances, name) {
		return nil, fmt.Errorf("%s has several instances: name one of %s", name, strings.Join(instances, ", "))
	}
	return &changed, nil
}
