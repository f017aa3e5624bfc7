package delivery

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// canaryRequests is the number of requests per second and pod: enough for the analysis of one pod, and few enough for a machine that runs all
// the pods, too.
const canaryRequests = 3

// TestCanary is proofs 3 and 4: a good version is promoted step by step; one with errors, a slow one and one without requests
// are not. The analysis is the component's own, with less time between two measurements. The first waits as long as it looks back: on a busy
// machine requests take long while pods start.
func TestCanary(t *testing.T) {
	f := setup(t)
	f.configure(t, "      staging_strategy: canary\n")
	t.Cleanup(func() { f.configure(t, "") })
	const component = "k8s/components/canary/analysis.yaml"
	analysis := f.read(t, component)
	f.write(t, component, strings.ReplaceAll(analysis, "interval: 30s", "interval: 5s"))
	t.Cleanup(func() { f.write(t, component, analysis) })
	// One replica of 20 is 5 %.
	replicas := setting(t, "SLIPWAY_DELIVERY_REPLICAS", 20, 4)
	canaryRate := canaryRequests * replicas
	f.edit(t, "k8s/overlays/staging/kustomization.yaml", "count: 2", fmt.Sprintf("count: %d", replicas))
	good := f.build(t, "Start as a Rollout")
	f.deploy(t, good, true)
	if out := outside.Kubectl(t, "--namespace", staging, "get", "deployments", "--output", "name"); strings.Contains(out, "orders") {
		t.Errorf("the Deployment is still there beside the Rollout: %s", out)
	}

	t.Run("good", func(t *testing.T) {
		next := f.build(t, "A good version")
		var out string
		start := time.Now()
		seen := f.under(t, canaryRate, func() { out = f.deploy(t, next, true) })
		figure(t, "3 a good canary", "%d replicas: promoted after %.0f s in 5, 25, 50, 100 %%, %d analyses; %d requests, %d failed", replicas, time.Since(start).Seconds(), strings.Count(out, ": Successful\n"), seen.Requests, seen.Failed)
		if got := outside.ServedCommit(t, staging); got != next.commit {
			t.Errorf("staging serves %s, want %s", got, next.commit)
		}
		good = next
	})
	const started = "a.started.Store(true)"
	for _, c := range []struct{ name, proof, fault, metric string }{
		{"errors", "3 a canary that answers 5 % with errors", "httpapi.Fault{ErrorRatio: 0.05}", "error-rate"},
		{"latency", "4 a canary that is slow", "httpapi.Fault{DelayRatio: 0.1, Delay: 2 * time.Second}", "p99"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f.edit(t, "service/app/app.go", started, started+"\n\ta.public.SetFault(&"+c.fault+")")
			bad := f.build(t, "A bad version: "+c.name)
			var out string
			start := time.Now()
			var took time.Duration
			seen := f.under(t, canaryRate, func() {
				out = f.deploy(t, bad, false)
				took = time.Since(start)
			})
			share := f.canaryShare(t, took)
			figure(t, c.proof, "%d replicas: aborted automatically and removed after %.0f s, %.1f %% of all requests reached it; %d requests, %d failed", replicas, took.Seconds(), 100*share, seen.Requests, seen.Failed)
			if !strings.Contains(out, `Metric "`+c.metric+`" assessed Failed`) {
				t.Errorf("the log does not say that %s failed:\n%s", c.metric, out)
			}
			// The share of one pod, with a margin for random distribution.
			if share > 1.6/float64(replicas) {
				t.Errorf("%.1f %% of the requests reached the canary", 100*share)
			}
			if got := outside.ServedCommit(t, staging); got != good.commit {
				t.Errorf("staging serves %s, want %s", got, good.commit)
			}
		})
	}
	t.Run("too little traffic", func(t *testing.T) {
		start := time.Now()
		out := f.deploy(t, f.build(t, "A version without requests"), false)
		figure(t, "4 a canary without requests", "not promoted, removed after %.0f s", time.Since(start).Seconds())
		if !strings.Contains(out, "too few requests reached the canary to judge it") {
			t.Errorf("the log does not say why:\n%s", out)
		}
		if got := outside.ServedCommit(t, staging); got != good.commit {
			t.Errorf("staging serves %s, want %s", got, good.commit)
		}
	})
}

// canaryShare returns the share of recent requests that went to pods of the canary, from Prometheus.
func (f *fixture) canaryShare(t *testing.T, last time.Duration) float64 {
	t.Helper()
	sum := func(track string) float64 {
		return f.query(t, fmt.Sprintf(`sum(increase(http_requests_total{namespace=%q,track=~%q}[%ds]))`, staging, track, int(last.Seconds())+5))
	}
	return sum("canary") / sum(".*")
}

// query returns the value of a query with one result; 0 if there is none.
func (f *fixture) query(t *testing.T, query string) float64 {
	t.Helper()
	status, body := request(t.Context(), http.MethodGet, f.prometheus+"/api/v1/query?query="+url.QueryEscape(query), "", "")
	var answer struct {
		Data struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); status != http.StatusOK || err != nil {
		t.Fatalf("%s: %d %v %s", query, status, err, body)
	}
	if len(answer.Data.Result) == 0 {
		return 0
	}
	value, err := strconv.ParseFloat(fmt.Sprint(answer.Data.Result[0].Value[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return value
}
