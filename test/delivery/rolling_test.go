package delivery

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestRolling is proof 1: users notice nothing of a rolling update.
func TestRolling(t *testing.T) {
	f := setup(t)
	f.deploy(t, f.build(t, "First"), true)
	rate := f.rate(t, 500)
	next := f.build(t, "Second")
	var took time.Duration
	var out string
	seen := f.under(t, rate, func() {
		time.Sleep(3 * time.Second)
		start := time.Now()
		out = f.deploy(t, next, true)
		took = time.Since(start)
		time.Sleep(3 * time.Second)
	})
	figure(t, "1 rolling update", "%d requests at %.0f/s, every tenth on a new connection, %d failed, p99 %s; rolled out in %.1f s", seen.Requests, seen.Rate, seen.Failed, seen.P99.Round(time.Millisecond), took.Seconds())
	if seen.Failed > 0 {
		t.Errorf("users noticed: %s\n%s", seen, out)
	}
	if got := outside.ServedCommit(t, staging); got != next.commit {
		t.Errorf("staging serves %s, want %s", got, next.commit)
	}
}

// TestNeverReady is proof 2: a version that never becomes ready is red, and the previous one keeps serving.
func TestNeverReady(t *testing.T) {
	f := setup(t)
	good := f.build(t, "Serve")
	f.deploy(t, good, true)
	f.edit(t, "service/admin/admin.go", `"GET /readyz"`, `"GET /broken"`)
	f.edit(t, "k8s/base/deployment.yaml", "progressDeadlineSeconds: 120", "progressDeadlineSeconds: 20")
	bad := f.build(t, "Break readiness")
	rate := f.rate(t, 100)
	var took time.Duration
	var out string
	seen := f.under(t, rate, func() {
		start := time.Now()
		out = f.deploy(t, bad, false)
		took = time.Since(start)
	})
	figure(t, "2 never ready", "red after %.1f s (progress deadline 20 s); %d requests at %.0f/s, %d failed", took.Seconds(), seen.Requests, seen.Rate, seen.Failed)
	unnoticed(t, seen)
	for _, text := range []string{"does not serve", "going back to release", "The version before it serves again"} {
		if !strings.Contains(out, text) {
			t.Errorf("the log does not say %q:\n%s", text, out)
		}
	}
	if got := outside.ServedCommit(t, staging); got != good.commit {
		t.Errorf("staging serves %s, want %s", got, good.commit)
	}
}

// TestRollback is proof 6: a manual rollback to the version before last, by its digest, only with the record in the cluster.
func TestRollback(t *testing.T) {
	f := setup(t)
	var versions []version
	for _, message := range []string{"First", "Second", "Third"} {
		v := f.build(t, message)
		f.deploy(t, v, true)
		f.promote(t, v)
		versions = append(versions, v)
	}
	start := time.Now()
	f.rollback(t, versions[0].digest)
	took := time.Since(start)
	image := outside.Image(t, production)
	figure(t, "6 rollback to the version before last", "digest %s, %.1f s", map[bool]string{true: "right", false: "WRONG"}[image == versions[0].image()], took.Seconds())
	if image != versions[0].image() || outside.ServedCommit(t, production) != versions[0].commit {
		t.Errorf("production runs %s at %s, want %s", image, outside.ServedCommit(t, production), versions[0].image())
	}
	// A version that was rolled back can be deployed again; the one before it on record is then the first.
	f.rollback(t, versions[2].digest)
	f.rollback(t, "")
	if got := outside.ServedCommit(t, production); got != versions[0].commit {
		t.Errorf("production serves %s, want %s: the second version was withdrawn", got, versions[0].commit)
	}
}

// TestRehearsal runs the scheduled job that rolls staging back and forward again, under load.
func TestRehearsal(t *testing.T) {
	f := setup(t)
	f.configure(t, "      rehearsal: true\n")
	t.Cleanup(func() { f.configure(t, "") })
	before, now := f.build(t, "Before"), f.build(t, "Now")
	f.deploy(t, before, true)
	f.deploy(t, now, true)
	c := f.job(t.Context(), "deploy-rehearsal", now)
	c.Args[slices.Index(c.Args, "push")] = "schedule"
	var out []byte
	var err error
	start := time.Now()
	seen := f.under(t, f.rate(t, 100), func() { out, err = c.CombinedOutput() })
	if err != nil {
		t.Fatalf("deploy-rehearsal: %v\n%s", err, out)
	}
	figure(t, "6 rehearsal of the rollback in staging", "rolled back and forward in %.1f s; %d requests at %.0f/s, %d failed", time.Since(start).Seconds(), seen.Requests, seen.Rate, seen.Failed)
	for _, v := range []version{before, now} {
		if !strings.Contains(string(out), "answers of the Service name commit "+v.commit) {
			t.Errorf("the log does not contain that %s served:\n%s", v.commit, out)
		}
	}
	if got := outside.ServedCommit(t, staging); got != now.commit {
		t.Errorf("staging serves %s, want %s", got, now.commit)
	}
	unnoticed(t, seen)
}

// promote runs the staging and production jobs in one pipeline: production compares its digest with staging's artifact.
func (f *fixture) promote(t *testing.T, v version) {
	t.Helper()
	defer f.checkout(t, v)()
	c := f.job(t.Context(), "deploy-production", v)
	c.Args = append(c.Args, "--approve", "deploy-production")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("deploy-production: %v\n%s", err, out)
	}
}

// rollback starts the manual job of a pipeline with the digest as its input.
func (f *fixture) rollback(t *testing.T, digest string) {
	t.Helper()
	// The whole pipeline, which waits before every deployment: a manual job that is named would start without its input.
	c := f.job(t.Context(), "", version{})
	c.Args = slices.DeleteFunc(c.Args, func(arg string) bool { return arg == "--deploy" || arg == "" })
	out, err := c.CombinedOutput()
	if err == nil {
		approve := exec.CommandContext(t.Context(), "slipway", "approve", "deploy-rollback", "--deploy", "--input", "digest="+digest)
		approve.Dir = f.clone()
		out, err = approve.CombinedOutput()
	}
	if err != nil {
		t.Fatalf("deploy-rollback: %v\n%s", err, out)
	}
}
