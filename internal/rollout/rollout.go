// Package rollout brings one version of a service to one namespace of a cluster, and back. It drives kubectl, prints what it does,
// and keeps the record of what was deployed in the cluster itself.
package rollout

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A Service is what is rolled out: a Deployment, or an Argo Rollout, and the Service of the same name.
type Service struct {
	Name, Namespace string
	// Smoke is the path below the Service's proxy whose answer must contain the commit, such as admin/proxy/version after a colon.
	Smoke string
	// Timeout is for a rolling update, and for going back; CanaryTimeout for a canary with its analyses.
	Timeout, CanaryTimeout time.Duration
	// JobTimeout is for the Jobs before the rollout.
	JobTimeout time.Duration
	// Soak is how long a version that was rolled out is watched before Apply takes it for good.
	Soak time.Duration
	// Keep is the number of releases that the record holds.
	Keep int
	// Holder says who deploys, for others that try to do so at the same time.
	Holder string
	// Ancestor reports whether the commit is this one or one of its ancestors. Nil accepts every commit.
	Ancestor func(ctx context.Context, commit string) (bool, error)
	// Out is where the progress goes.
	Out io.Writer
	// Lease is how long a job that does not renew its lock is taken for alive; 15 s by default.
	Lease time.Duration

	holder string
}

// A Refusal is why nothing was done: nothing in the cluster has changed.
type Refusal struct{ What, Fix string }

func (r *Refusal) Error() string { return r.What + "; nothing has been touched" }

// A Failure is a version that does not serve.
type Failure struct {
	Release Release
	// Back is the release that serves again, nil if there is none. Stuck is the one that was to serve again and does not.
	Back, Stuck *Release
	// Why is the reason.
	Why error
}

func (f *Failure) Error() string {
	return fmt.Sprintf("%s does not serve: %v", f.Release.Version, f.Why)
}

// Apply rolls manifests out and records them as a release. If the version does not serve, the last good release is applied again, and
// the error is a *Failure. If the cluster runs a newer version, or another job deploys, the error is a *Refusal.
func (s *Service) Apply(ctx context.Context, v Version, manifests []byte) error {
	m, err := parse(manifests, s.Name)
	if err != nil {
		return err
	}
	return s.locked(ctx, func(ctx context.Context) error {
		releases, err := s.releases(ctx)
		if err != nil {
			return err
		}
		current := currentOf(releases)
		if err := s.refuseOlder(ctx, v, current); err != nil {
			return err
		}
		release := Release{Number: nextNumber(releases), Version: v, State: Rolling, Started: time.Now().UTC(), manifests: m}
		fmt.Fprintf(s.Out, "Rolling out release %d of %s: %s (%s, namespace %s); now %s\n", release.Number, s.Name, v, m.strategy(), s.Namespace, describe(current))
		if err := s.record(ctx, release); err != nil {
			return err
		}
		before := running(releases)
		why := s.bring(ctx, release, before, false)
		if why == nil {
			why = s.watch(ctx, release)
		}
		if why == nil {
			return errors.Join(s.markGood(ctx, release), s.prune(ctx, append(releases, release)))
		}
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted while release %d was rolled out; the cluster goes on with it, and the next job takes over: %w", release.Number, context.Cause(ctx))
		}
		s.explain(ctx, m)
		failure := &Failure{Release: release, Why: why}
		if err := s.setState(ctx, release, Failed); err != nil {
			return errors.Join(failure, err)
		}
		if current == nil {
			return failure
		}
		fmt.Fprintf(s.Out, "--- going back to release %d: %s\n", current.Number, current.Version)
		if err := s.bring(ctx, *current, append(before, release), true); err != nil {
			failure.Stuck = current
			return errors.Join(failure, fmt.Errorf("and release %d does not serve either: %w", current.Number, err))
		}
		failure.Back = current
		return failure
	})
}

// Undo goes back to the good release before the current one, or to the newest one with the digest. The releases that it passes over
// are withdrawn: a further Undo goes back further.
func (s *Service) Undo(ctx context.Context, digest string) error {
	return s.locked(ctx, func(ctx context.Context) error {
		releases, err := s.releases(ctx)
		if err != nil {
			return err
		}
		current := currentOf(releases)
		target := undoTarget(releases, current, digest)
		if target == nil {
			return &Refusal{
				What: fmt.Sprintf("The record has no version %s to go back to", cmp.Or(digest, "before the present one")),
				Fix:  "start the production job of the pipeline that delivered it; above is what the record has",
			}
		}
		return s.back(ctx, releases, cmp.Or(unfinished(releases), current), *target)
	})
}

// UndoPipeline goes back to the good release before those that a pipeline has brought, and withdraws these. If the pipeline has not brought
// what runs, there is nothing to do.
func (s *Service) UndoPipeline(ctx context.Context, pipeline string) error {
	return s.locked(ctx, func(ctx context.Context) error {
		releases, err := s.releases(ctx)
		if err != nil {
			return err
		}
		current := brought(releases, pipeline)
		if current == nil {
			fmt.Fprintf(s.Out, "Nothing to go back from: %s runs %s, which this pipeline has not brought.\n", s.Namespace, describe(currentOf(releases)))
			return nil
		}
		target := beforePipeline(releases, pipeline)
		if target == nil {
			return &Refusal{
				What: fmt.Sprintf("The record has no version before %s, which this pipeline has brought", describe(current)),
				Fix:  "it was the first one here: roll out one that serves, or remove it by hand",
			}
		}
		return s.back(ctx, releases, current, *target)
	})
}

// back makes target serve in place of current, and withdraws what came after target.
func (s *Service) back(ctx context.Context, releases []Release, current *Release, target Release) error {
	fmt.Fprintf(s.Out, "Going back from %s to release %d: %s\n", describe(current), target.Number, target.Version)
	if err := s.bring(ctx, target, running(releases), true); err != nil {
		s.explain(ctx, target.manifests)
		return &Failure{Release: target, Stuck: &target, Why: err}
	}
	for _, r := range releases {
		after, ok := map[State]State{Good: Withdrawn, Rolling: Failed}[r.State]
		if ok && r.Number > target.Number {
			if err := s.setState(ctx, r, after); err != nil {
				return err
			}
		}
	}
	return s.markGood(ctx, target)
}

// History writes the record, the newest release last.
func (s *Service) History(ctx context.Context, w io.Writer) error {
	releases, err := s.releases(ctx)
	if err != nil {
		return err
	}
	for _, r := range releases {
		fmt.Fprintf(w, "%4d  %-9s  %s  %s  %s\n", r.Number, r.State, r.Started.Format(time.RFC3339), r.Version, r.By)
	}
	return nil
}

// refuseOlder compares what is to be deployed with what runs.
func (s *Service) refuseOlder(ctx context.Context, v Version, current *Release) error {
	if s.Ancestor == nil || current == nil || current.Commit == "" || current.Commit == v.Commit {
		return nil
	}
	older, err := s.Ancestor(ctx, current.Commit)
	if err != nil {
		return &Refusal{
			What: fmt.Sprintf("It cannot be decided whether commit %s is newer than %s, which runs (%v)", short(v.Commit), short(current.Commit), err),
			Fix:  "give the job the whole history (GIT_DEPTH: 0)",
		}
	}
	if !older {
		return &Refusal{
			What: fmt.Sprintf("Commit %s does not contain commit %s, which release %d of %s runs (%s)", short(v.Commit), short(current.Commit), current.Number, s.Namespace, current.By),
			Fix:  "deploy a commit that contains it; to go back on purpose, start the rollback job",
		}
	}
	return nil
}

// bring applies a release, waits until it serves, and removes what only releases before have: the workload if it was of the other kind,
// and the objects of components that are gone. With again the release has served before: its Jobs do not run, and a canary skips its steps.
func (s *Service) bring(ctx context.Context, r Release, before []Release, again bool) error {
	if !again {
		if err := s.runJobs(ctx, r.manifests); err != nil {
			return err
		}
	}
	text, err := r.manifests.withoutJobs()
	if err != nil {
		return err
	}
	timeout := s.Timeout
	var was *argoRollout
	if r.manifests.kind == kindRollout {
		was = s.rollout(ctx)
		if !again {
			timeout = s.CanaryTimeout
		}
	}
	if was != nil && was.inconclusive() {
		// As long as that pause is there, the controller does not take another number of replicas, nor anything else that comes with it.
		if err := s.patch(ctx, `{"status":{"abort":true,"pauseConditions":null}}`, "--subresource", "status"); err != nil {
			return err
		}
	}
	if err := s.apply(ctx, text); err != nil {
		return err
	}
	if was != nil {
		if err := s.unblock(ctx, *was, again); err != nil {
			return err
		}
	}
	// Without a good one before it there is nothing to compare a canary with, nor to protect from it.
	promote := again || was != nil && !slices.ContainsFunc(before, goodRollout) && s.broken(ctx, *was)
	if err := s.follow(ctx, r.manifests, was, timeout, promote); err != nil {
		return err
	}
	if i := slices.IndexFunc(before, func(b Release) bool { return b.manifests.kind != r.manifests.kind }); i >= 0 {
		if err := s.run(ctx, "delete", before[i].manifests.kind.resource()+"/"+s.Name, "--ignore-not-found"); err != nil && !impossible(err) {
			return err
		}
	}
	if err := s.removeLeftovers(ctx, before, r.manifests); err != nil {
		return err
	}
	return s.smoke(ctx, r.Commit)
}

// goodRollout reports whether the release is a Rollout that has served.
func goodRollout(r Release) bool { return r.State == Good && r.manifests.kind == kindRollout }

// broken reports whether no pod of the version that a canary would be compared with is available. For the controller the first version is stable whatever
// becomes of it. If the account may not look, it is not said to be broken.
func (s *Service) broken(ctx context.Context, r argoRollout) bool {
	available, err := s.read(ctx, "get", "replicasets.apps", "--selector", "rollouts-pod-template-hash="+r.Status.StableRS, "--output", "jsonpath={.items[*].status.availableReplicas}")
	return err == nil && len(available) == 0
}

// unblock does what applying manifests does not: a person's pause ends if the version has served before, and a canary of the same pods goes on, also if the
// controller has given them up. Was is what the Rollout was before.
func (s *Service) unblock(ctx context.Context, was argoRollout, again bool) error {
	if again && was.Spec.Paused {
		if err := s.patch(ctx, `{"spec":{"paused":false}}`); err != nil {
			return err
		}
	}
	now := s.rollout(ctx)
	if now == nil || now.Status.CurrentPodHash == now.Status.StableRS || !bytes.Equal(now.Spec.Template, was.Spec.Template) {
		return nil
	}
	// What the kubectl plugin's `retry` does. The phase would be Degraded until the controller has looked; and it must look, since the manifests
	// have other weights than the canary.
	return s.patch(ctx, `{"status":{"abort":false,"phase":"Progressing","message":"applied again"}}`, "--subresource", "status")
}

// settling is how long the Service may name another version after the rollout: its selector follows the pods of a canary by weight.
const settling = 15 * time.Second

// smoke asks the Service which commit it is, until it has named the right one five times in a row.
func (s *Service) smoke(ctx context.Context, commit string) error {
	const times = 5
	deadline := time.Now().Add(settling)
	for n := 0; n < times; {
		err := s.answers(ctx, commit)
		if err == nil {
			n++
			continue
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("smoke test: %w", err)
		}
		n = 0
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(look):
		}
	}
	fmt.Fprintf(s.Out, "Smoke test: %d answers of the Service name commit %s\n", times, commit)
	return nil
}

// answers asks the Service once.
func (s *Service) answers(ctx context.Context, commit string) error {
	answer, err := s.read(ctx, "get", "--raw", fmt.Sprintf("/api/v1/namespaces/%s/services/%s:%s", s.Namespace, s.Name, s.Smoke))
	if err != nil {
		return err
	}
	if !strings.Contains(string(answer), commit) {
		return fmt.Errorf("the Service answers %.300q, not commit %s", answer, commit)
	}
	return nil
}

// explain prints what the cluster says about a version that does not serve.
func (s *Service) explain(ctx context.Context, m manifests) {
	fmt.Fprintln(s.Out, "--- what the cluster says")
	_ = s.run(ctx, "get", "pods", "--output", "wide")
	if events, err := s.read(ctx, "get", "events", "--sort-by", ".lastTimestamp"); err == nil {
		lines := strings.Split(strings.TrimSpace(string(events)), "\n")
		fmt.Fprintln(s.Out, strings.Join(lines[max(0, len(lines)-20):], "\n"))
	}
	_ = s.run(ctx, "logs", "--selector", m.selector, "--tail", "20", "--prefix", "--all-containers", "--max-log-requests", "50")
}

// markGood says in the record and at the workload what serves now.
func (s *Service) markGood(ctx context.Context, r Release) error {
	if err := s.setState(ctx, r, Good); err != nil {
		return err
	}
	return s.run(ctx, "annotate", "--overwrite", r.manifests.kind.resource()+"/"+s.Name, fmt.Sprintf("slipway.dev/release=%d", r.Number),
		commitAnnotation+"="+r.Commit, imageAnnotation+"="+r.Image, byAnnotation+"="+r.By)
}

func describe(r *Release) string {
	if r == nil {
		return "nothing that is on record"
	}
	return fmt.Sprintf("release %d: %s", r.Number, r.Version)
}

// currentOf is the newest good release.
func currentOf(releases []Release) *Release {
	for _, r := range slices.Backward(releases) {
		if r.State == Good {
			return &r
		}
	}
	return nil
}

// running are the releases of which something may run, the newest first: those whose jobs were killed, or from which going back may have failed, and
// the good one before them.
func running(releases []Release) []Release {
	var found []Release
	for _, r := range slices.Backward(releases) {
		if r.State != Withdrawn {
			found = append(found, r)
		}
		if r.State == Good {
			break
		}
	}
	return found
}

// unfinished is the newest release if its job was killed in mid-rollout, nil otherwise. The cluster goes on with it.
func unfinished(releases []Release) *Release {
	if n := len(releases); n > 0 && releases[n-1].State == Rolling {
		return &releases[n-1]
	}
	return nil
}

// brought is the release of the pipeline that runs, or that may run since its job was killed, or since going back from it may have failed; nil if there is none.
func brought(releases []Release, pipeline string) *Release {
	current := currentOf(releases)
	if n := len(releases); n > 0 && releases[n-1].Pipeline == pipeline && (releases[n-1].State == Rolling || releases[n-1].State == Failed) {
		current = &releases[n-1]
	}
	if current == nil || current.Pipeline != pipeline {
		return nil
	}
	return current
}

// beforePipeline is the newest good release that the pipeline has not brought; nil if there is none.
func beforePipeline(releases []Release, pipeline string) *Release {
	for _, r := range slices.Backward(releases) {
		if r.State == Good && r.Pipeline != pipeline {
			return &r
		}
	}
	return nil
}

// undoTarget is the release to go back to; nil if there is none. Without a digest it is the one before the present one, or the present one if a newer one is unfinished.
func undoTarget(releases []Release, current *Release, digest string) *Release {
	if digest == "" && unfinished(releases) != nil {
		return current
	}
	for _, r := range slices.Backward(releases) {
		served := r.State == Good || r.State == Withdrawn
		switch {
		case digest != "":
			if served && strings.HasSuffix(r.Image, "@"+digest) {
				return &r
			}
		case current != nil && r.State == Good && r.Number < current.Number && r.Image != current.Image:
			return &r
		}
	}
	return nil
}
