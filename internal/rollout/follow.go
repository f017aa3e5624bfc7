package rollout

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A verdict is how far a rollout is.
type verdict int

const (
	progressing verdict = iota
	served
	gaveUp
)

// look is how often the cluster is asked.
const look = 2 * time.Second

// catchUp is how long a status may go on describing the pods before; the controller needs one more look at the Rollout.
const catchUp = 30 * time.Second

// follow prints what happens until the workload has rolled out, has given up, or the time is over. With promote, a Rollout that has
// steps left skips them. Before is what a Rollout was before its manifests were applied, nil if that is not known.
func (s *Service) follow(ctx context.Context, m manifests, before *argoRollout, timeout time.Duration, promote bool) error {
	start := time.Now()
	deadline := start.Add(timeout)
	said := map[string]bool{}
	for {
		if time.Since(start) > catchUp {
			before = nil // templates that are written in two ways, as 1000m and 1 are, can have the same pods
		}
		p, err := s.progress(ctx, m, before)
		if err != nil {
			return err
		}
		for _, line := range p.lines {
			if !said[line] {
				fmt.Fprintln(s.Out, "  "+line)
				said[line] = true
			}
		}
		switch {
		case p.verdict == served:
			return nil
		case p.verdict == gaveUp:
			return errors.New(p.why)
		case time.Now().After(deadline):
			return fmt.Errorf("not rolled out within %s: %s", timeout, p.lines[0])
		case promote && p.promotable:
			// What the kubectl plugin's `promote --full` does.
			if err := s.patch(ctx, `{"status":{"promoteFull":true}}`, "--subresource", "status"); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(look):
		}
	}
}

// A progress is what the cluster says at one moment. There is at least one line.
type progress struct {
	verdict    verdict
	why        string
	lines      []string
	promotable bool
}

var waiting = progress{lines: []string{"waiting for the controller"}}

func (s *Service) progress(ctx context.Context, m manifests, before *argoRollout) (progress, error) {
	out, err := s.read(ctx, "get", m.kind.resource()+"/"+s.Name, "--output", "json")
	if err != nil {
		return progress{}, err
	}
	if m.kind == kindDeployment {
		var d deployment
		if err := json.Unmarshal(out, &d); err != nil {
			return progress{}, err
		}
		return d.progress(), nil
	}
	var r argoRollout
	if err := json.Unmarshal(out, &r); err != nil {
		return progress{}, err
	}
	if r.describes(before) {
		return waiting, nil
	}
	out, err = s.read(ctx, "get", "analysisruns.argoproj.io", "--output", "json")
	if err != nil {
		return progress{}, err
	}
	var runs struct{ Items []analysisRun }
	if err := json.Unmarshal(out, &runs); err != nil {
		return progress{}, err
	}
	return r.progress(runs.Items), nil
}

// A deployment is what is read of one.
type deployment struct {
	Metadata meta
	Spec     struct{ Replicas int }
	Status   struct {
		ObservedGeneration                           int64
		Replicas, UpdatedReplicas, AvailableReplicas int
		Conditions                                   []condition
	}
}

type condition struct{ Type, Status, Reason, Message string }

func (d deployment) progress() progress {
	st, want := d.Status, d.Spec.Replicas
	if st.ObservedGeneration < d.Metadata.Generation {
		return waiting
	}
	p := progress{lines: []string{fmt.Sprintf("%d of %d pods are new, %d available, %d old", st.UpdatedReplicas, want, st.AvailableReplicas, st.Replicas-st.UpdatedReplicas)}}
	for _, c := range st.Conditions {
		if c.Type == "Progressing" && c.Reason == "ProgressDeadlineExceeded" {
			p.verdict, p.why = gaveUp, c.Message
			return p
		}
	}
	if st.UpdatedReplicas >= want && st.Replicas == st.UpdatedReplicas && st.AvailableReplicas >= st.UpdatedReplicas {
		p.verdict = served
	}
	return p
}

// An argoRollout is what is read of one (argoproj.io/v1alpha1).
type argoRollout struct {
	Metadata meta
	Spec     struct {
		Replicas int
		Paused   bool
		Template json.RawMessage
		Strategy struct {
			Canary struct{ Steps []map[string]any }
		}
	}
	Status struct {
		// ObservedGeneration is a number in quotes.
		ObservedGeneration                       string
		Phase, Message, CurrentPodHash, StableRS string
		Abort, PromoteFull                       bool
		CurrentStepIndex                         *int
		Replicas, UpdatedReplicas                int
		PauseConditions                          []struct{ Reason string }
	}
}

const revisionAnnotation = "rollout.argoproj.io/revision"

// An analysisRun is what is read of one.
type analysisRun struct {
	Metadata meta
	Status   struct {
		Phase, Message string
		MetricResults  []struct {
			Name         string
			Measurements []struct{ Phase, Value, Message string }
		}
	}
}

// rollout returns the Rollout as it is, nil if there is none. An error is that of the next command, too.
func (s *Service) rollout(ctx context.Context) *argoRollout {
	out, err := s.read(ctx, "get", kindRollout.resource()+"/"+s.Name, "--ignore-not-found", "--output", "json")
	var r argoRollout
	if err != nil || json.Unmarshal(out, &r) != nil {
		return nil
	}
	return &r
}

// inconclusive reports whether the Rollout is paused because its canary could not be judged.
func (r argoRollout) inconclusive() bool {
	return slices.ContainsFunc(r.Status.PauseConditions, func(c struct{ Reason string }) bool { return c.Reason == "InconclusiveAnalysisRun" })
}

// describes reports whether the status is still that of the pods before. If the number of replicas changes together with the pods, the controller first
// scales those that there are, and says that it has seen the new generation: for a moment the rest of the status is what it was, Healthy or given up.
func (r argoRollout) describes(before *argoRollout) bool {
	return before != nil && before.settled() && before.Metadata.UID == r.Metadata.UID &&
		!bytes.Equal(before.Spec.Template, r.Spec.Template) && before.Status.CurrentPodHash == r.Status.CurrentPodHash
}

// settled reports whether the controller has seen what the Rollout should be.
func (r argoRollout) settled() bool {
	return r.Status.ObservedGeneration == fmt.Sprint(r.Metadata.Generation)
}

func (r argoRollout) progress(runs []analysisRun) progress {
	st := r.Status
	if !r.settled() {
		return waiting
	}
	p := progress{
		lines:      []string{fmt.Sprintf("%s, %d of %d pods are new%s", r.step(), st.UpdatedReplicas, st.Replicas, colon(st.Message))},
		promotable: st.CurrentPodHash != st.StableRS && st.StableRS != "" && !st.PromoteFull && !st.Abort,
	}
	for _, run := range runs {
		owned := slices.ContainsFunc(run.Metadata.OwnerReferences, func(o owner) bool { return o.UID == r.Metadata.UID })
		// An analysis of an earlier attempt says nothing about this one.
		if owned && run.Metadata.Annotations[revisionAnnotation] == r.Metadata.Annotations[revisionAnnotation] {
			p.lines = append(p.lines, run.lines()...)
		}
	}
	switch {
	case st.Phase == "Healthy":
		p.verdict = served
	case st.Abort || st.Phase == "Degraded":
		p.verdict, p.why = gaveUp, st.Message
	case r.inconclusive():
		p.verdict, p.why = gaveUp, "the analysis is inconclusive: too few requests reached the canary to judge it"
	}
	return p
}

// step describes the step that the canary is at.
func (r argoRollout) step() string {
	steps := r.Spec.Strategy.Canary.Steps
	if r.Status.CurrentStepIndex == nil || *r.Status.CurrentStepIndex >= len(steps) {
		return "after the last step"
	}
	index := *r.Status.CurrentStepIndex
	what := ""
	for name, value := range steps[index] {
		if weight, ok := value.(float64); ok {
			what = fmt.Sprintf("%s %g", name, weight)
		} else {
			what = name
		}
	}
	return fmt.Sprintf("step %d of %d: %s", index+1, len(steps), what)
}

// lines describe what was measured.
func (run analysisRun) lines() []string {
	var lines []string
	for _, metric := range run.Status.MetricResults {
		for i, measured := range metric.Measurements {
			lines = append(lines, fmt.Sprintf("analysis %s: %s #%d = %s %s%s", run.Metadata.Name, metric.Name, i+1, measured.Value, measured.Phase, colon(measured.Message)))
		}
	}
	switch run.Status.Phase {
	case "", "Pending", "Running":
	default:
		lines = append(lines, fmt.Sprintf("analysis %s: %s%s", run.Metadata.Name, run.Status.Phase, colon(run.Status.Message)))
	}
	return lines
}

func colon(text string) string {
	if text = strings.TrimSpace(text); text == "" {
		return ""
	}
	return ": " + text
}
