package delivery

import (
	"context"
	"encoding/json"
	"net/http"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/load"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestChaos is proof 5: the job is killed in mid-rollout and run again, the API server and PostgreSQL are killed, and a pod: it
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

// kill ends a part of the platform as a crash does.
func kill(t *testing.T, part string) {
	t.Helper()
	var parts []struct {
		Part string
		PID  int
	}
	out, _ := exec.CommandContext(t.Context(), "platform", "status", "--json").Output() // its exit code is about all parts
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
