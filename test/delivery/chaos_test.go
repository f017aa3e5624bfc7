package delivery

import (
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/load"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestChaos is proof 5: the job is killed during the rollout and run again, the API server and PostgreSQL are killed, and a pod: it
// converges to the new version, and no order is lost that was acknowledged.
func TestChaos(t *testing.T) {
	f := setup(t)
	f.deploy(t, f.build(t, "Begin"), true)
	next := f.build(t, "Go on")

	var mu sync.Mutex
	var orders []string
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	report := make(chan load.Report, 1)
	go func() {
		report <- load.Run(ctx, load.Config{URL: f.ingress, Host: staging + ".localhost", Rate: 20, NewConnections: 10, Timeout: 10 * time.Second, Limit: 100_000,
			Acknowledged: func(location string) { mu.Lock(); orders = append(orders, location); mu.Unlock() }})
	}()

	start := time.Now()
	killed := f.job(t.Context(), "deploy-staging", next)
	killed.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := killed.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, "the rollout has begun", func() bool {
		return outside.Kubectl(t, "--namespace", staging, "get", "configmaps", "--selector", "slipway.dev/releases=orders,slipway.dev/state=rolling", "--output", "name") != ""
	})
	if err := syscall.Kill(-killed.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = killed.Wait()

	again := make(chan error, 1)
	var out []byte
	go func() {
		var err error
		out, err = f.job(t.Context(), "deploy-staging", next).CombinedOutput()
		again <- err
	}()
	for _, part := range []string{"kube-apiserver", "postgres"} {
		time.Sleep(5 * time.Second)
		kill(t, part)
		outside.Command(t, f.clone(), "platform", "up")
	}
	outside.Kubectl(t, "--namespace", staging, "delete", "pod", "--selector", "app.kubernetes.io/name=orders", "--field-selector", "status.phase=Running", "--grace-period=0", "--force", "--wait=false")
	if err := <-again; err != nil {
		t.Fatalf("the second run of the job: %v\n%s", err, out)
	}
	took := time.Since(start)
	time.Sleep(2 * time.Second)
	stop()
	seen := <-report

	if got := outside.ServedCommit(t, staging); got != next.commit {
		t.Errorf("staging serves %s, want %s", got, next.commit)
	}
	lost := 0
	for _, order := range orders {
		if status, _ := request(t.Context(), http.MethodGet, f.ingress+order, staging+".localhost", ""); status != http.StatusOK {
			lost++
		}
	}
	figure(t, "5 job, API server, PostgreSQL and all pods killed in mid-rollout", "converged after %.0f s; %d orders acknowledged, %d lost; %d of %d requests failed meanwhile",
		took.Seconds(), len(orders), lost, seen.Failed, seen.Requests)
	if lost > 0 || len(orders) == 0 {
		t.Errorf("%d of %d acknowledged orders are lost", lost, len(orders))
	}
}

// TestDrain drains the only node: one pod is evicted, and the disruption budget keeps the other until the first can run again.
func TestDrain(t *testing.T) {
	f := setup(t)
	f.deploy(t, f.build(t, "Serve"), true)
	node := outside.Kubectl(t, "get", "nodes", "--output", "jsonpath={.items[0].metadata.name}")
	ready := func() string {
		return outside.Kubectl(t, "--namespace", staging, "get", "deployment/orders", "--output", "jsonpath={.status.readyReplicas}")
	}
	uncordon := func() { outside.Kubectl(t, "uncordon", node) }
	t.Cleanup(uncordon)
	rate := f.rate(t, 100)
	var out []byte
	var err error
	var took time.Duration
	seen := f.under(t, rate, func() {
		drain := exec.CommandContext(t.Context(), "platform", "kubectl", "drain", node, "--pod-selector", "app.kubernetes.io/name=orders,app.kubernetes.io/part-of=slipway", "--timeout", "40s")
		out, err = drain.CombinedOutput()
		if n := ready(); n != "1" {
			t.Errorf("%s pods are ready while the node is drained, want 1", n)
		}
		uncordon()
		took = eventually(t, 3*time.Minute, "both pods serve again", func() bool { return ready() == "2" })
	})
	figure(t, "5 the only node drained", "the disruption budget kept one of two pods; both again %.0f s after the node was back; %d requests at %.0f/s, %d failed", took.Seconds(), seen.Requests, seen.Rate, seen.Failed)
	if err == nil || !strings.Contains(string(out), "would violate the pod's disruption budget") {
		t.Errorf("the budget did not keep a pod: %v\n%s", err, out)
	}
	unnoticed(t, seen)
}

// kill ends a part of the platform like a crash.
func kill(t *testing.T, part string) {
	t.Helper()
	var parts []struct {
		Part string
		PID  int
	}
	out, _ := exec.CommandContext(t.Context(), "platform", "status", "--json").Output() // its exit code covers all parts
	if err := json.Unmarshal(out, &parts); err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if p.Part == part && p.PID > 0 {
			if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("%s does not run", part)
}
