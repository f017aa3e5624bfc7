package delivery

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// probeProgram is a service that needs nothing and starts at once, or not at all.
const probeProgram = `package main

import (
	"io"
	"net/http"
	"os"
)

func main() {
	if os.Getenv("COMMIT") == "broken" {
		os.Exit(1)
	}
	http.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, os.Getenv("COMMIT")) })
	http.ListenAndServe(":8081", nil)
}
`

// probeManifests are those of one version; capitals are replaced. The analysis sees what QUERY yields: 1 is good, 0 too little to judge.
const probeManifests = `apiVersion: v1
kind: Service
metadata: {name: NAME}
spec: {selector: {app: NAME}, ports: [{name: admin, port: 8081}]}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: NAME}
spec:
  metrics:
    - {name: requests, initialDelay: 2s, interval: 2s, count: 2, successCondition: "result[0] >= 1", failureCondition: "false",
       provider: {prometheus: {address: "http://prometheus.monitoring.svc:9090", query: vector(QUERY)}}}
---
apiVersion: VERSION
kind: KIND
metadata: {name: NAME}
spec:
  replicas: REPLICAS
  progressDeadlineSeconds: 20
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: probe
          image: IMAGE
          env: [{name: COMMIT, value: COMMIT}]
          ports: [{name: admin, containerPort: 8081}]
          readinessProbe: {httpGet: {path: /version, port: admin}, periodSeconds: 1}
          resources: {requests: {cpu: 5m, memory: 8Mi}, limits: {memory: 64Mi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`

const probeCanary = `  strategy:
    canary: {maxUnavailable: 0, maxSurge: 1, steps: [{setWeight: 25}, {analysis: {templates: [{templateName: NAME}]}}]}
`

const probeWeighted = `  strategy:
    canary: {stableService: NAME, canaryService: NAME-canary, trafficRouting: {traefik: {weightedTraefikServiceName: NAME}}, steps: [{setWeight: 25}, {pause: {}}]}
`

const probeWeights = `apiVersion: v1
kind: Service
metadata: {name: NAME-canary}
spec: {selector: {app: NAME}, ports: [{name: admin, port: 8081}]}
---
apiVersion: traefik.io/v1alpha1
kind: TraefikService
metadata: {name: NAME}
spec: {weighted: {services: [{name: NAME, port: 8081, weight: 100}, {name: NAME-canary, port: 8081, weight: 0}]}}
---
`

// A probe is a small service with releases of its own, by which a test brings a Rollout into a state without traffic and in seconds.
type probe struct{ name, image, kubeconfig, folder string }

func newProbe(t *testing.T, name string, base probe) probe {
	t.Helper()
	p := base
	p.name, p.folder = name, t.TempDir()
	remove := func() {
		outside.Kubectl(t, "--namespace", staging, "delete", "--ignore-not-found", "rollouts.argoproj.io/"+name, "deployment/"+name, "service/"+name, "service/"+name+"-canary", "traefikservices.traefik.io/"+name, "analysistemplate/"+name, "lease/"+name+"-deploy")
		outside.Kubectl(t, "--namespace", staging, "delete", "configmap", "--selector", "slipway.dev/releases="+name)
	}
	remove()
	t.Cleanup(remove)
	return p
}

// apply is the command that rolls a version out.
func (p probe) apply(ctx context.Context, t *testing.T, kind, commit, replicas, query string) *exec.Cmd {
	t.Helper()
	text, version, strategy := probeManifests, "apps/v1", ""
	switch kind {
	case "Rollout":
		version, strategy = "argoproj.io/v1alpha1", probeCanary
	case "Rollout by weight":
		text, kind, version, strategy = probeWeights+text, "Rollout", "argoproj.io/v1alpha1", probeWeighted
	}
	text = strings.Replace(text, "  template:\n", strategy+"  template:\n", 1)
	text = strings.NewReplacer("name: COMMIT, value: COMMIT", "name: COMMIT, value: "+commit, "NAME", p.name, "KIND", kind, "VERSION", version, "REPLICAS", replicas, "QUERY", query, "IMAGE", p.image).Replace(text)
	file := filepath.Join(p.folder, commit+".yaml")
	write(t, file, text)
	return p.rollout(ctx, "apply", "--image", p.image, "--commit", commit, "--canary-timeout", "90s", "--filename", file)
}

func (p probe) rollout(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, "slipway", append([]string{"rollout", args[0], "--name", p.name, "--namespace", staging, "--by", "a test", "--timeout", "60s"}, args[1:]...)...)
	c.Env = append(c.Environ(), "KUBECONFIG="+p.kubeconfig)
	return c
}

// killed starts a rollout and kills it when the Rollout is as wanted.
func (p probe) killed(t *testing.T, kind, commit, replicas, query, jsonpath, want string) {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	c := p.apply(ctx, t, kind, commit, replicas, query)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 2*time.Minute, jsonpath+" is "+want, func() bool { return p.state(t, jsonpath) == want })
	kill()
	_ = c.Wait()
}

// state returns a field of the Rollout; nothing if there is none.
func (p probe) state(t *testing.T, jsonpath string) string {
	t.Helper()
	return outside.Kubectl(t, "--namespace", staging, "get", "rollouts.argoproj.io", "--field-selector", "metadata.name="+p.name, "--output", "jsonpath={.items[*]."+jsonpath+"}")
}

func ends(t *testing.T, c *exec.Cmd, green bool) string {
	t.Helper()
	out, err := c.CombinedOutput()
	if (err == nil) != green {
		t.Fatalf("%v: %v\n%s", c.Args, err, out)
	}
	return string(out)
}

// TestStuckCanaries is about Rollouts that somebody, or a job that was killed, has left in a state in which applying the next version is not enough.
func TestStuckCanaries(t *testing.T) {
	f := setup(t)
	folder := t.TempDir()
	base := probe{kubeconfig: filepath.Join(folder, "kubeconfig")}
	write(t, base.kubeconfig, variable(t, outside.Command(t, "", "platform", "env"), "KUBECONFIG"))
	write(t, filepath.Join(folder, "go.mod"), "module probe\n")
	write(t, filepath.Join(folder, "main.go"), probeProgram)
	compile(t, folder, ".", filepath.Join(folder, "probe"), "-s -w")
	base.image = f.registry + "/delivery/probe@" + f.push(t, filepath.Join(folder, "probe"), f.registry+"/delivery/probe:1")

	t.Run("the first version does not start", func(t *testing.T) {
		// To the controller it is stable, and the next one a canary beside it, which nobody sends requests.
		p := newProbe(t, "stuck-first", base)
		ends(t, p.apply(t.Context(), t, "Rollout", "broken", "2", "0"), false)
		ends(t, p.apply(t.Context(), t, "Rollout", "fixed", "2", "0"), true)
		if out := ends(t, p.apply(t.Context(), t, "Rollout", "next", "2", "0"), false); !strings.Contains(out, "too few requests") {
			t.Errorf("the one after it was not judged:\n%s", out)
		}
	})
	t.Run("the same version again", func(t *testing.T) {
		// The pods are those that the controller has given up.
		p := newProbe(t, "stuck-again", base)
		ends(t, p.apply(t.Context(), t, "Rollout", "one", "2", "1"), true)
		p.killed(t, "Rollout", "two", "2", "0", "status.pauseConditions[*].reason", "InconclusiveAnalysisRun")
		ends(t, p.apply(t.Context(), t, "Rollout", "two", "2", "1"), true)
	})
	t.Run("the same version again, by weight", func(t *testing.T) {
		// The manifests have the weights of a Rollout that is done.
		p := newProbe(t, "stuck-weight", base)
		ends(t, p.apply(t.Context(), t, "Rollout by weight", "one", "2", "1"), true)
		p.killed(t, "Rollout by weight", "two", "2", "1", "status.pauseConditions[*].reason", "CanaryPauseStep")
		ctx, kill := context.WithTimeout(t.Context(), 40*time.Second)
		defer kill()
		_, _ = p.apply(ctx, t, "Rollout by weight", "two", "2", "1").CombinedOutput()
		if record := outside.Kubectl(t, "--namespace", staging, "get", "configmap", "--ignore-not-found", p.name+"-release-3"); record == "" {
			t.Fatal("the second job has not come to its turn")
		}
		if weights := outside.Kubectl(t, "--namespace", staging, "get", "traefikservices.traefik.io/"+p.name, "--output", "jsonpath={.spec.weighted.services[*].weight}"); weights != "75 25" {
			t.Errorf("the weights are %s, want 75 25", weights)
		}
	})
	t.Run("paused by a person", func(t *testing.T) {
		p := newProbe(t, "stuck-paused", base)
		ends(t, p.apply(t.Context(), t, "Rollout", "one", "2", "1"), true)
		p.killed(t, "Rollout", "two", "3", "0", "status.currentStepIndex", "1")
		outside.Kubectl(t, "--namespace", staging, "patch", "rollouts.argoproj.io/"+p.name, "--type", "merge", "--patch", `{"spec":{"paused":true}}`)
		ends(t, p.rollout(t.Context(), "undo"), true)
	})
	t.Run("beside a Deployment", func(t *testing.T) {
		// Both have pods behind the Service.
		p := newProbe(t, "stuck-beside", base)
		ends(t, p.apply(t.Context(), t, "Deployment", "one", "2", "1"), true)
		p.killed(t, "Rollout", "two", "2", "1", "status.observedGeneration", "1")
		ends(t, p.apply(t.Context(), t, "Deployment", "three", "2", "1"), true)
		if uid := p.state(t, "metadata.uid"); uid != "" {
			t.Error("the Rollout is still there beside the Deployment")
		}
	})
}
