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

	"gitlab.com/slipway-ci/slipway/test/load"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// canaryRequests is the number of requests per second to the canary at its first step: enough for the analysis, and few enough for a machine that
// runs all the pods, too.
const canaryRequests = 3

// A canary is a series of canaries of the service in staging, and the load that they are judged by.
type canary struct {
	*fixture
	what string // for the table
	load load.Config
	good version // that serves
	// most is the share of all requests that a bad version may get.
	most float64
}

// canaries deploys a first version as a Rollout. The analysis is the component's own, with less time between two measurements. The first
// waits as long as it looks back: on a busy machine requests take long while pods start.
func canaries(t *testing.T, f *fixture, replicas int, inputs string) *canary {
	t.Helper()
	if left := outside.Kubectl(t, "--namespace", staging, "get", "rollouts.argoproj.io", "--output", "name"); strings.Contains(left, "orders") {
		// Beside the Rollout of an earlier test the first version would be a canary, too, and nobody sends it requests.
		f.deploy(t, f.build(t, "Start as a Deployment"), true)
	}
	f.configure(t, "      staging_strategy: canary\n"+inputs)
	t.Cleanup(func() { f.configure(t, "") })
	const component = "k8s/components/canary/analysis.yaml"
	analysis := f.read(t, component)
	f.write(t, component, strings.ReplaceAll(analysis, "interval: 30s", "interval: 5s"))
	t.Cleanup(func() { f.write(t, component, analysis) })
	f.edit(t, "k8s/overlays/staging/kustomization.yaml", "count: 2", fmt.Sprintf("count: %d", replicas))
	c := &canary{fixture: f, what: fmt.Sprintf("%d replicas", replicas), load: stream(f.ingress, staging, canaryRequests*replicas),
		good: f.build(t, "Start as a Rollout")}
	f.deploy(t, c.good, true)
	if out := outside.Kubectl(t, "--namespace", staging, "get", "deployments", "--output", "name"); strings.Contains(out, "orders") {
		t.Errorf("the Deployment is still there beside the Rollout: %s", out)
	}
	return c
}

// promoted deploys a good version under load.
func (c *canary) promoted(t *testing.T, proof string) load.Report {
	t.Helper()
	next := c.build(t, "A good version")
	var out string
	start := time.Now()
	seen := during(t, c.load, func() { out = c.deploy(t, next, true) })
	figure(t, proof, "%s: promoted after %.0f s in 5, 25, 50, 100 %%, %d analyses; %d requests, %d failed", c.what, time.Since(start).Seconds(), strings.Count(out, ": Successful\n"), seen.Requests, seen.Failed)
	c.good = next
	c.serves(t)
	return seen
}

// aborted deploys a version with a fault under load, which the metric must show.
func (c *canary) aborted(t *testing.T, proof, fault, metric string) {
	t.Helper()
	const started = "a.started.Store(true)"
	c.edit(t, "service/app/app.go", started, started+"\n\ta.public.SetFault(&"+fault+")")
	bad := c.build(t, "A bad version: "+metric)
	var out string
	start := time.Now()
	var took time.Duration
	seen := during(t, c.load, func() {
		out = c.deploy(t, bad, false)
		took = time.Since(start)
	})
	share := c.canaryShare(t, took)
	figure(t, proof, "%s: aborted automatically and removed after %.0f s, %.1f %% of all requests reached it; %d requests, %d failed", c.what, took.Seconds(), 100*share, seen.Requests, seen.Failed)
	if !strings.Contains(out, `Metric "`+metric+`" assessed Failed`) {
		t.Errorf("the log does not say that %s failed:\n%s", metric, out)
	}
	if share == 0 || share > c.most {
		t.Errorf("%.1f %% of the requests reached the canary", 100*share)
	}
	c.serves(t)
}

// serves checks that staging serves the last good version.
func (c *canary) serves(t *testing.T) {
	t.Helper()
	if got := outside.ServedCommit(t, staging); got != c.good.commit {
		t.Errorf("staging serves %s, want %s", got, c.good.commit)
	}
}

// TestCanary is proofs 3 and 4: a good version is promoted step by step; one with errors, a slow one and one without requests
// are not. One replica of 20 is 5 %.
func TestCanary(t *testing.T) {
	replicas := setting(t, "SLIPWAY_DELIVERY_REPLICAS", 20, 4)
	c := canaries(t, setup(t), replicas, "")
	// The share of one pod, with a margin for random distribution.
	c.most = 1.6 / float64(replicas)
	t.Run("good", func(t *testing.T) { c.promoted(t, "3 a good canary") })
	t.Run("errors", func(t *testing.T) {
		c.aborted(t, "3 a canary that answers 5 % with errors", "httpapi.Fault{ErrorRatio: 0.05}", "error-rate")
	})
	t.Run("latency", func(t *testing.T) {
		c.aborted(t, "4 a canary that is slow", "httpapi.Fault{DelayRatio: 0.1, Delay: 2 * time.Second}", "p99")
	})
	t.Run("too little traffic", func(t *testing.T) {
		// Another number of pods, which comes and goes with the version: the controller scales first, and says nothing new of the canary meanwhile.
		const overlay = "k8s/overlays/staging/kustomization.yaml"
		c.edit(t, overlay, fmt.Sprintf("count: %d", replicas), fmt.Sprintf("count: %d", replicas-1))
		start := time.Now()
		out := c.deploy(t, c.build(t, "A version without requests"), false)
		figure(t, "4 a canary without requests", "not promoted, removed after %.0f s", time.Since(start).Seconds())
		if !strings.Contains(out, "too few requests reached the canary to judge it") {
			t.Errorf("the log does not say why:\n%s", out)
		}
		if strings.Contains(out, "has failed") {
			t.Errorf("the version before was said not to serve:\n%s", out)
		}
		c.serves(t)
	})
}

// TestCanaryByWeight is proof 3 by weight: Traefik gives the canary 5 % of the requests, and four replicas are enough. Users notice nothing of a good
// version, nor of the way back to a Deployment.
func TestCanaryByWeight(t *testing.T) {
	f := setup(t)
	const overlay = "k8s/overlays/staging/kustomization.yaml"
	f.edit(t, overlay, "components/ingress\n", "components/traefik\n")
	f.edit(t, overlay, "patches:\n", `patches:
  - target: {kind: IngressRoute, name: orders}
    patch: |-
      - {op: replace, path: /spec/routes/0/match, value: "Host(`+"`"+staging+".localhost`"+`)"}
`)
	t.Cleanup(func() {
		outside.Kubectl(t, "--namespace", staging, "delete", "--ignore-not-found", "ingressroutes.traefik.io/orders", "traefikservices.traefik.io/orders", "middlewares.traefik.io/orders-retry", "service/orders-canary")
	})
	c := canaries(t, f, 4, "      canary_component: k8s/components/canary-traefik\n")
	c.what, c.load, c.most = "4 replicas, by weight", stream(f.traefik, staging, canaryRequests*20), 0.05
	t.Run("good", func(t *testing.T) { unnoticed(t, c.promoted(t, "3 a good canary, by weight")) })
	t.Run("errors", func(t *testing.T) {
		c.aborted(t, "3 a canary that answers 5 % with errors, by weight", "httpapi.Fault{ErrorRatio: 0.05}", "error-rate")
	})
	t.Run("back to a Deployment", func(t *testing.T) {
		f.configure(t, "")
		c.good = f.build(t, "Roll without a canary")
		seen := during(t, c.load, func() {
			f.deploy(t, c.good, true)
			time.Sleep(5 * time.Second)
		})
		figure(t, "3 from weights back to a Deployment", "%d requests, %d failed", seen.Requests, seen.Failed)
		unnoticed(t, seen)
		c.serves(t)
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
