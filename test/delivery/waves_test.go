package delivery

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/pipeline"
	"gitlab.com/slipway-ci/slipway/test/load"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

// A site is a platform of its own: one cluster of production.
type site struct {
	name    string
	env     []string
	ingress string
}

// platform runs a command of the site's platform.
func (s site) platform(t *testing.T, args ...string) string {
	t.Helper()
	c := exec.Command("platform", args...) //nolint:noctx // runs in cleanups, too
	c.Env = append(os.Environ(), s.env...)
	out, err := c.Output()
	if err != nil {
		t.Fatalf("platform %s in %s: %v\n%s", strings.Join(args, " "), s.name, err, out)
	}
	return strings.TrimSpace(string(out))
}

// served returns the commit that production serves at the site.
func (s site) served(t *testing.T) string {
	t.Helper()
	var version struct{ Commit string }
	answer := s.platform(t, "kubectl", "get", "--raw", "/api/v1/namespaces/"+production+"/services/orders:admin/proxy/version")
	if err := json.Unmarshal([]byte(answer), &version); err != nil {
		t.Fatalf("%s answers %q: %v", s.name, answer, err)
	}
	return version.Commit
}

// states returns the states of a version's releases, as the site has them on record.
func (s site) states(t *testing.T, v version) string {
	t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Labels, Annotations map[string]string }
		}
	}
	out := s.platform(t, "kubectl", "--namespace", production, "get", "configmaps", "--selector", "slipway.dev/releases=orders", "--output", "json")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	var states []string
	for _, c := range list.Items {
		if c.Metadata.Annotations["slipway.dev/commit"] == v.commit {
			states = append(states, c.Metadata.Labels["slipway.dev/state"])
		}
	}
	return strings.Join(states, " ")
}

// second starts a platform beside the first one, with its registry, until the proof has ended.
func (f *fixture) second(t *testing.T) site {
	t.Helper()
	s := site{name: "us", env: []string{"SLIPWAY_STATE=" + os.Getenv("SLIPWAY_STATE") + "-us", "SLIPWAY_WITH=none", "CI_REGISTRY=" + f.registry}}
	for _, part := range []string{"REGISTRY", "POSTGRES", "API", "INGRESS", "PROMETHEUS", "ALERTMANAGER"} {
		name := "SLIPWAY_" + part + "_PORT"
		port, err := strconv.Atoi(os.Getenv(name))
		if err != nil {
			t.Fatalf("%s is the first platform's, as make e2e-delivery sets it: %v", name, err)
		}
		s.env = append(s.env, name+"="+strconv.Itoa(port+1))
	}
	// What an interrupted run has left has a record of commits that nobody knows any more.
	s.platform(t, "down", "--purge")
	t.Cleanup(func() { s.platform(t, "down", "--purge") })
	s.platform(t, "up")
	s.ingress = variable(t, s.platform(t, "env"), "INGRESS_ADDRESS")
	return s
}

// environments writes the CI/CD variables of a project with both clusters: what a platform has for production has the scope of a cluster.
func (f *fixture) environments(t *testing.T, sites ...site) string {
	t.Helper()
	var all []pipeline.Variable
	for i, s := range sites {
		var variables []pipeline.Variable
		if err := yaml.Unmarshal([]byte(s.platform(t, "env")), &variables); err != nil {
			t.Fatal(err)
		}
		for _, v := range variables {
			switch {
			case v.EnvironmentScope == "production":
				v.EnvironmentScope = "production/" + s.name
			case i > 0: // staging is in the first one
				continue
			}
			all = append(all, v)
		}
	}
	text, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "variables.yml")
	write(t, file, string(text))
	return file
}

// balancer starts HAProxy in front of the clusters and returns its address. It checks each of them every half second with a request like those of users.
// A request that could not be sent is retried on the other cluster, one without a response only if it is safe.
func balancer(t *testing.T, sites ...site) string {
	t.Helper()
	address := outside.FreeAddress(t)
	host := production + ".localhost"
	text := fmt.Sprintf(`global
  stats socket %s
defaults
  mode http
  timeout connect 1s
  timeout client 30s
  timeout server 30s
frontend users
  bind %s
  default_backend clusters
backend clusters
  balance roundrobin
  option redispatch 1
  retries 3
  retry-on conn-failure empty-response response-timeout
  http-request disable-l7-retry if METH_POST
  option httpchk
  http-check send meth GET uri /v1/orders ver HTTP/1.1 hdr Host %s
  default-server check inter 500ms fall 2 rise 2
`, filepath.Join(t.TempDir(), "stats"), address, host)
	for _, s := range sites {
		text += fmt.Sprintf("  server %s %s\n", s.name, s.ingress)
	}
	config := filepath.Join(t.TempDir(), "haproxy.cfg")
	write(t, config, text)
	c := exec.Command("haproxy", "-db", "-f", config) //nolint:noctx // killed below
	var out strings.Builder
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatalf("%v: apt-get install haproxy", err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait(); t.Logf("haproxy:\n%s", out.String()) })
	url := "http://" + address
	eventually(t, 20*time.Second, "the load balancer answers", func() bool {
		status, _ := request(t.Context(), http.MethodGet, url+"/v1/orders", host, "")
		return status == http.StatusOK
	})
	return url
}

// pipeline runs the whole pipeline of a version, with the one approval; it must end as wanted.
func (f *fixture) pipeline(t *testing.T, v version, green bool) string {
	t.Helper()
	defer f.checkout(t, v)()
	c := f.job(t.Context(), "", v)
	c.Args = append(slices.DeleteFunc(c.Args, func(arg string) bool { return arg == "" }), "--approve", "deploy-approval")
	out, err := c.CombinedOutput()
	if (err == nil) != green {
		t.Fatalf("the pipeline of %s: %v\n%s", v.commit, err, out)
	}
	return string(out)
}

const wavesPipeline = `include:
  - local: /ci/deploy.yml
    inputs: {app: orders, needs: [], review_needs: [], production_rules: [{when: never}], rollback: false, rollout_timeout: ` + patience + `}
  - local: /ci/deploy-waves.yml
    inputs: {first_wave: [eu], second_wave: [us], overlay: production-$CLUSTER, soak: 10s}
`

// patience extends the limits for a machine that runs both clusters, their load and the compiler: a slow rollout is not a bad version.
const patience = "300s"

// TestWaves is proof 11 for several clusters: production in two of them, one wave after the other, under load through a load balancer; a version that
// is bad in the second, one that is bad in the first and only after its rollout; and at last one of the clusters dies.
func TestWaves(t *testing.T) {
	shared := setup(t)
	cleaned.Do(func() { clean(t) })
	eu := site{name: "eu", ingress: strings.TrimPrefix(shared.ingress, "http://")}
	us := shared.second(t)
	f := *shared
	f.variables = f.environments(t, eu, us)
	f.write(t, ".gitlab-ci.yml", wavesPipeline)
	t.Cleanup(func() { shared.configure(t, "") })
	// The second cluster's database has another port, and its overlay is where it can be bad by itself.
	f.edit(t, "k8s/base/deployment.yaml", "progressDeadlineSeconds: 120", "progressDeadlineSeconds: 300")
	const policy = "k8s/base/networkpolicy.yaml"
	port, _ := strconv.Atoi(os.Getenv("SLIPWAY_POSTGRES_PORT"))
	f.edit(t, policy, fmt.Sprintf("{port: %d,", port), fmt.Sprintf("{port: %d, endPort: %d,", port, port+1))
	overlay := func(s site, patch string) {
		folder := "k8s/overlays/production-" + s.name
		if err := os.MkdirAll(filepath.Join(f.clone(), folder), 0o755); err != nil {
			t.Fatal(err)
		}
		f.write(t, folder+"/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../production]\nreplicas: [{name: orders, count: 2}]\n"+patch)
	}
	t.Cleanup(func() {
		for _, s := range []site{eu, us} {
			_ = os.RemoveAll(filepath.Join(f.clone(), "k8s/overlays/production-"+s.name))
		}
	})
	overlay(eu, "")
	overlay(us, "")
	expect := func(t *testing.T, v version) {
		t.Helper()
		for _, s := range []site{eu, us} {
			if got := s.served(t); got != v.commit {
				t.Errorf("%s serves %s, want %s", s.name, got, v.commit)
			}
		}
	}
	first := f.build(t, "Everywhere")
	f.pipeline(t, first, true)
	expect(t, first)
	url := balancer(t, eu, us)
	rate := setting(t, "SLIPWAY_DELIVERY_RATE", 100, leastRate)
	through := func(t *testing.T, work func()) load.Report {
		t.Helper()
		return during(t, stream(url, production, rate), work)
	}

	good := first
	t.Run("a good version", func(t *testing.T) {
		next := f.build(t, "Better everywhere")
		start := time.Now()
		seen := through(t, func() { f.pipeline(t, next, true) })
		good = next
		expect(t, good)
		figure(t, "11 two clusters in two waves", "one approval, eu, watched for 10 s, then us: %.0f s with staging; %d requests at %.0f/s through the load balancer, %d failed", time.Since(start).Seconds(), seen.Requests, seen.Rate, seen.Failed)
		unnoticed(t, seen)
	})
	t.Run("bad in the second wave", func(t *testing.T) {
		overlay(us, "patches:\n  - target: {kind: Deployment, name: orders}\n    patch: |-\n      - {op: replace, path: /spec/template/spec/containers/0/readinessProbe/httpGet/path, value: /broken}\n      - {op: replace, path: /spec/progressDeadlineSeconds, value: 20}\n")
		t.Cleanup(func() { overlay(us, "") })
		bad := f.build(t, "Not in us")
		var out string
		start := time.Now()
		seen := through(t, func() { out = f.pipeline(t, bad, false) })
		expect(t, good)
		if e, u := eu.states(t, bad), us.states(t, bad); e != "withdrawn" || u != "failed" {
			t.Errorf("on record the bad version is %q in eu and %q in us, want withdrawn and failed\n%s", e, u, out)
		}
		figure(t, "11 a version that is bad in the second wave", "both clusters on the version before after %.0f s; %d requests at %.0f/s, %d failed; on record withdrawn in eu, failed in us", time.Since(start).Seconds(), seen.Requests, seen.Rate, seen.Failed)
		unnoticed(t, seen)
	})
	t.Run("bad after its rollout", func(t *testing.T) {
		// The smoke test asks five times, what watches it goes on asking: the pod that is asked for the sixth time ends.
		f.edit(t, "service/admin/admin.go", "{ writeJSON(w, o.Build) }", "{\n\tif asked.Add(1) == 6 {\n\t\tos.Exit(1)\n\t}\n\twriteJSON(w, o.Build)\n}\n\nvar asked atomic.Int64\n")
		f.edit(t, "service/admin/admin.go", "\t\"net/http/pprof\"", "\t\"os\"\n\t\"sync/atomic\"\n\t\"net/http/pprof\"")
		f.edit(t, ".gitlab-ci.yml", "soak: 10s", "soak: 45s")
		bad := f.build(t, "Dies later")
		out := f.pipeline(t, bad, false)
		expect(t, good)
		if e, u := eu.states(t, bad), us.states(t, bad); e != "failed" || u != "" {
			t.Errorf("on record the bad version is %q in eu and %q in us, want failed and never seen\n%s", e, u, out)
		}
		if !strings.Contains(out, "it served, and") {
			t.Errorf("the log does not say that it served at first:\n%s", out)
		}
		figure(t, "11 a version that dies after its rollout", "seen while eu was watched, gone back there; us never had it")
	})
	t.Run("a cluster dies", func(t *testing.T) {
		var killed int
		seen := through(t, func() {
			time.Sleep(10 * time.Second)
			killed = us.kill(t)
			time.Sleep(20 * time.Second)
		})
		figure(t, "11 one of two clusters killed under load", "%d processes killed at once; %d requests at %.0f/s through the load balancer, %d failed, p99 %s", killed, seen.Requests, seen.Rate, seen.Failed, seen.P99.Round(time.Millisecond))
		t.Log(seen)
		// What was under way in the dead cluster is lost if it must not be repeated; nothing that comes after is.
		if limit := 2 * rate; seen.Failed > limit {
			t.Errorf("%d requests failed, more than those of two seconds (%d): %s", seen.Failed, limit, seen)
		}
		if got := eu.served(t); got != good.commit {
			t.Errorf("eu serves %s, want %s", got, good.commit)
		}
	})
}

// kill ends all processes of the site's platform at once, as if its power had failed, and returns how many these were.
func (s site) kill(t *testing.T) int {
	t.Helper()
	c := exec.CommandContext(t.Context(), "platform", "status", "--json")
	c.Env = append(os.Environ(), s.env...)
	out, _ := c.Output() // its exit code is about all parts
	var parts []struct{ PID int }
	if err := json.Unmarshal(out, &parts); err != nil {
		t.Fatal(err)
	}
	killed := 0
	for _, p := range parts {
		if p.PID > 0 && syscall.Kill(p.PID, syscall.SIGKILL) == nil {
			killed++
		}
	}
	if killed < 10 {
		t.Fatalf("found %d processes to kill, want at least 10", killed)
	}
	return killed
}
