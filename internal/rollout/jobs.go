package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// runJobs runs the Jobs of a release that come before its workload, and waits until they are done. A Job cannot be changed, so that of the
// release before is deleted.
func (s *Service) runJobs(ctx context.Context, m manifests) error {
	if len(m.jobs) == 0 {
		return nil
	}
	for _, name := range m.jobs {
		if err := s.run(ctx, "delete", "jobs.batch/"+name, "--ignore-not-found"); err != nil {
			return err
		}
	}
	text, err := m.beforeWorkload()
	if err != nil {
		return err
	}
	if err := s.apply(ctx, text); err != nil {
		return err
	}
	deadline := time.Now().Add(s.JobTimeout)
	for _, name := range m.jobs {
		fmt.Fprintf(s.Out, "Waiting for the Job %s, for %s at most; the pods are replaced when it is done\n", name, s.JobTimeout)
		if err := s.awaitJob(ctx, name, deadline); err != nil {
			_ = s.run(ctx, "logs", "job/"+name, "--tail", "50", "--prefix", "--all-containers")
			return err
		}
	}
	return nil
}

// awaitJob waits until a Job is complete; it is an error if it fails.
func (s *Service) awaitJob(ctx context.Context, name string, deadline time.Time) error {
	for {
		out, err := s.read(ctx, "get", "jobs.batch/"+name, "--ignore-not-found", "--output", "json")
		if err != nil {
			return err
		}
		if len(out) == 0 {
			fmt.Fprintf(s.Out, "  the Job %s is done, and has been removed\n", name)
			return nil
		}
		var j job
		if err := json.Unmarshal(out, &j); err != nil {
			return fmt.Errorf("the Job %s: %w", name, err)
		}
		switch done, why := j.done(); {
		case why != "":
			return fmt.Errorf("the Job %s has failed: %s", name, why)
		case done:
			fmt.Fprintf(s.Out, "  the Job %s is complete\n", name)
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("the Job %s is not complete within %s; it goes on until the next deployment", name, s.JobTimeout)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(look):
		}
	}
}

// A job is what is read of one.
type job struct {
	Status struct{ Conditions []condition }
}

// done reports whether the Job is complete; why is not empty if it has failed.
func (j job) done() (done bool, why string) {
	for _, c := range j.Status.Conditions {
		switch {
		case c.Status != "True":
		case c.Type == "Complete":
			return true, ""
		case c.Type == "Failed":
			return true, c.Reason + colon(c.Message)
		}
	}
	return false, ""
}
