package rollout

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const twoDocuments = `apiVersion: v1
kind: Secret
metadata:
  name: orders
stringData:
  password: hidden
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: orders
spec:
  selector: not a label selector
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: orders
spec:
  selector:
    matchLabels: {b: "2", a: "1"}
`

func TestParse(t *testing.T) {
	t.Parallel()
	m, err := parse([]byte(twoDocuments), "orders")
	if err != nil || m.kind != kindRollout || m.selector != "a=1,b=2" || m.strategy() != "canary" {
		t.Errorf("%+v %v", m, err)
	}
	for name, text := range map[string]string{
		"neither a Deployment nor a Rollout": "kind: Service\nmetadata: {name: orders}\n",
		"two workloads":                      "kind: Deployment\nmetadata: {name: orders}\n---\nkind: Rollout\nmetadata: {name: orders}\n",
		"manifests:":                         "kind: [\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse([]byte(text), "orders"); err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("%v, want %q", err, name)
			}
		})
	}
}

// TestNamespace has other objects with keys and values that look like the namespace of the workload.
func TestNamespace(t *testing.T) {
	t.Parallel()
	const settings = `apiVersion: v1
kind: ConfigMap
metadata:
  name: orders
  namespace: shop
data:
  namespace: other
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: orders
  namespace: monitoring
---
`
	const deployment = "apiVersion: apps/v1\r\nkind: Deployment\r\nmetadata: {name: orders, namespace: \"shop\"}\r\n"
	if got, err := Namespace([]byte(settings+deployment), "orders"); got != "shop" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	for text, want := range map[string]string{settings: "neither a Deployment nor a Rollout orders", "": "neither a Deployment", twoDocuments: "the Rollout orders has no namespace: set"} {
		if got, err := Namespace([]byte(text), "orders"); got != "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q %v, want %q", got, err, want)
		}
	}
}

func TestSecretsAreNotRecorded(t *testing.T) {
	t.Parallel()
	got := string(withoutSecrets([]byte(twoDocuments)))
	if strings.Contains(got, "hidden") || !strings.Contains(got, "kind: Rollout") || !strings.Contains(got, "kind: HorizontalPodAutoscaler") {
		t.Error(got)
	}
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	const object = "apiVersion: %s\nkind: %s\nmetadata: {name: %s}\n---\n"
	in := func(text []byte, namespace string) []byte {
		return []byte(strings.ReplaceAll(string(text), "{name:", "{namespace: "+namespace+", name:"))
	}
	text := func(objects ...string) []byte {
		var b strings.Builder
		for _, o := range objects {
			f := strings.Fields(o)
			fmt.Fprintf(&b, object, f[0], f[1], f[2])
		}
		return []byte(b.String())
	}
	before := text("v1 Service orders", "v1 ConfigMap a", "autoscaling/v2 HorizontalPodAutoscaler orders", "v1 PersistentVolumeClaim data", "keda.sh/v1alpha1 ScaledObject orders")
	for _, test := range []struct {
		name    string
		present []byte
		want    []string
	}{
		{"the same", before, nil},
		{"the same, with the namespace", in(before, "shop"), nil},
		{"in another namespace", in(text("v1 Service orders", "autoscaling/v2 HorizontalPodAutoscaler orders", "keda.sh/v1alpha1 ScaledObject orders"), "elsewhere"), []string{"Service", "HorizontalPodAutoscaler", "ScaledObject"}},
		{"another version of the same group", text("v1 Service orders", "v1 ConfigMap a", "autoscaling/v3 HorizontalPodAutoscaler orders", "keda.sh/v1 ScaledObject orders"), nil},
		{"without the autoscalers", text("v1 Service orders", "v1 ConfigMap a"), []string{"HorizontalPodAutoscaler", "ScaledObject"}},
		{"other names", text("v1 Service other", "v1 ConfigMap b", "autoscaling/v2 HorizontalPodAutoscaler orders", "keda.sh/v1alpha1 ScaledObject orders"), []string{"Service"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := leftovers(before, test.present, "shop")
			var kinds []string
			for line := range strings.Lines(string(got)) {
				if kind, ok := strings.CutPrefix(line, "kind: "); ok {
					kinds = append(kinds, strings.TrimSpace(kind))
				}
			}
			if diff := cmp.Diff(test.want, kinds); diff != "" || err != nil {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestRemoveLeavesTheNamespace(t *testing.T) {
	t.Parallel()
	m := manifests{text: []byte("kind: Namespace\nmetadata: {name: reviews}\n---\nkind: Service\nmetadata: {name: orders}\n---\n")}
	got, err := m.own()
	if want := "kind: Service\nmetadata: {name: orders}\n"; string(got) != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestUndoTarget(t *testing.T) {
	t.Parallel()
	release := func(number int, state State, digest string) Release {
		return Release{Number: number, State: state, Version: Version{Image: "r@" + digest}}
	}
	for _, test := range []struct {
		name, digest string
		releases     []Release
		want         int
	}{
		{"nothing", "", nil, 0},
		{"only one", "", []Release{release(1, Good, "a")}, 0},
		{"the one before", "", []Release{release(1, Good, "a"), release(2, Good, "b"), release(3, Good, "c")}, 2},
		{"not a failed one", "", []Release{release(1, Good, "a"), release(2, Failed, "b"), release(3, Good, "c")}, 1},
		{"not the same digest again", "", []Release{release(1, Good, "a"), release(2, Good, "c"), release(3, Good, "c")}, 1},
		{"further back", "", []Release{release(1, Good, "a"), release(2, Good, "b"), release(3, Withdrawn, "c")}, 1},
		{"from one whose job was killed", "", []Release{release(1, Good, "a"), release(2, Good, "b"), release(3, Rolling, "c")}, 2},
		{"not from a killed one of before", "", []Release{release(1, Good, "a"), release(2, Rolling, "b"), release(3, Good, "c")}, 1},
		{"by digest", "a", []Release{release(1, Good, "a"), release(2, Good, "b"), release(3, Good, "c")}, 1},
		{"a withdrawn one by digest", "c", []Release{release(1, Good, "a"), release(3, Withdrawn, "c")}, 3},
		{"a failed one by digest", "c", []Release{release(1, Good, "a"), release(3, Failed, "c")}, 0},
		{"the end of a digest is no digest", "bc", []Release{release(1, Good, "abc"), release(2, Good, "d")}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := 0
			if r := undoTarget(test.releases, currentOf(test.releases), test.digest); r != nil {
				got = r.Number
			}
			if got != test.want {
				t.Errorf("release %d, want %d", got, test.want)
			}
		})
	}
}

// standInKubectl answers as a cluster that serves commit aaaa and has the record $RECORD. It writes down what is applied and labelled.
const standInKubectl = `#!/bin/sh
# STAND-IN for kubectl and its cluster.
shift 2
case "$*" in
  "get configmaps "*) cat "$RECORD" ;;
  "get leases"*) echo '{}' ;;
  "get deployment"*) echo '{"spec": {"replicas": 1}, "status": {"replicas": 1, "updatedReplicas": 1, "availableReplicas": 1}}' ;;
  "get --raw "*) echo aaaa ;;
  "apply "*) sed -n 's/.*version: /apply /p' >>"$RECORD.done" ;;
  "label "*) echo "$*" | sed 's/--overwrite configmap.//; s/slipway.dev.//' >>"$RECORD.done" ;;
esac
`

// TestUndoPipeline undoes what a pipeline has brought, also if its job was killed in mid-rollout, so that the record does not call it good.
func TestUndoPipeline(t *testing.T) {
	programs := t.TempDir()
	if err := os.WriteFile(filepath.Join(programs, "kubectl"), []byte(standInKubectl), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", programs+":"+os.Getenv("PATH"))
	for _, test := range []struct {
		name string
		// The states and pipelines of the releases, beginning with the first one.
		releases []string
		want     string // what is done, or the error
	}{
		{"it serves", []string{"good a", "good b"}, "apply 1, label orders-release-2 state=withdrawn, label orders-release-1 state=good"},
		{"its job was killed", []string{"good a", "rolling b"}, "apply 1, label orders-release-2 state=failed, label orders-release-1 state=good"},
		{"its job was killed, after one that was not", []string{"good a", "good b", "rolling b"},
			"apply 1, label orders-release-2 state=withdrawn, label orders-release-3 state=failed, label orders-release-1 state=good"},
		{"it failed, perhaps also the way back", []string{"good a", "failed b"}, "apply 1, label orders-release-1 state=good"},
		{"another one runs", []string{"good a", "failed b", "good c"}, ""},
		{"the job of another one was killed", []string{"good a", "rolling c"}, ""},
		{"the first one here, killed", []string{"rolling b"}, "The record has no version before release 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var items []configMap
			for i, r := range test.releases {
				state, pipeline, _ := strings.Cut(r, " ")
				items = append(items, configMap{
					Metadata: meta{Name: fmt.Sprintf("orders-release-%d", i+1), Labels: map[string]string{stateLabel: state},
						Annotations: map[string]string{pipelineAnnotation: pipeline, commitAnnotation: "aaaa"}},
					Data: map[string]string{manifestsKey: fmt.Sprintf("kind: Deployment\nmetadata: {name: orders, namespace: shop}\n# version: %d\n", i+1)},
				})
			}
			text, err := json.Marshal(map[string]any{"items": items})
			if err != nil {
				t.Fatal(err)
			}
			record := filepath.Join(t.TempDir(), "record")
			if err := os.WriteFile(record, text, 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("RECORD", record)
			s := Service{Name: "orders", Namespace: "shop", Timeout: time.Minute, Lease: time.Hour, Smoke: "http/proxy/version", Out: t.Output()}
			err = s.UndoPipeline(t.Context(), "b")
			done, _ := os.ReadFile(record + ".done") //nolint:gosec // of this test
			got := strings.ReplaceAll(strings.TrimSpace(string(done)), "\n", ", ")
			if err != nil {
				got += err.Error()
			}
			if got != test.want && (err == nil || !strings.HasPrefix(got, test.want)) {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}

func TestImpossible(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`error: the server doesn't have a resource type "rollouts"`: true,
		`Error from server (Forbidden): rollouts.argoproj.io "orders" is forbidden: User "deployer" cannot delete resource "rollouts" in API group "argoproj.io"`: true,
		`Error from server: etcdserver: request timed out`: false,
	} {
		if got := impossible(&commandError{"delete", text}); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestRunning(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		states []State
		want   []int
	}{
		{"nothing", nil, nil},
		{"the good one", []State{Good, Good}, []int{2}},
		{"jobs that were killed", []State{Rolling, Good, Rolling, Rolling}, []int{4, 3, 2}},
		{"one that failed, and perhaps going back, too", []State{Good, Failed}, []int{2, 1}},
		{"not a withdrawn one", []State{Good, Withdrawn, Failed}, []int{3, 1}},
		{"none was good", []State{Failed, Rolling}, []int{2, 1}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var releases []Release
			for i, state := range test.states {
				releases = append(releases, Release{Number: i + 1, State: state})
			}
			var got []int
			for _, r := range running(releases) {
				got = append(got, r.Number)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBeforePipeline(t *testing.T) {
	t.Parallel()
	release := func(number int, state State, pipeline string) Release {
		return Release{Number: number, State: state, Version: Version{Pipeline: pipeline}}
	}
	for _, test := range []struct {
		name     string
		releases []Release
		want     int
	}{
		{"nothing", nil, 0},
		{"the first one here", []Release{release(1, Good, "b")}, 0},
		{"the one before", []Release{release(1, Good, "a"), release(2, Good, "b")}, 1},
		{"its job has run twice", []Release{release(1, Good, "a"), release(2, Good, "b"), release(3, Good, "b")}, 1},
		{"not a withdrawn one", []Release{release(1, Good, "a"), release(2, Withdrawn, "c"), release(3, Good, "b")}, 1},
		{"one that names no pipeline", []Release{release(1, Good, ""), release(2, Good, "b")}, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := 0
			if r := beforePipeline(test.releases, "b"); r != nil {
				got = r.Number
			}
			if got != test.want {
				t.Errorf("release %d, want %d", got, test.want)
			}
		})
	}
}

func TestRestarted(t *testing.T) {
	t.Parallel()
	pods := func(text string) map[string]int {
		t.Helper()
		restarts, err := podRestarts([]byte(`{"items": [` + text + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		return restarts
	}
	const (
		a     = `{"metadata": {"name": "a"}, "status": {"containerStatuses": [{"restartCount": 1}, {"restartCount": 1}]}}`
		again = `{"metadata": {"name": "a"}, "status": {"containerStatuses": [{"restartCount": 1}, {"restartCount": 2}]}}`
		b     = `{"metadata": {"name": "b"}, "status": {"containerStatuses": [{"restartCount": 0}]}}`
		c     = `{"metadata": {"name": "c"}, "status": {"containerStatuses": [{"restartCount": 1}]}}`
		fresh = `{"metadata": {"name": "d"}, "status": {}}`
	)
	before := pods(a + "," + b)
	for name, test := range map[string]struct{ now, want string }{
		"nothing has happened":          {a + "," + b, ""},
		"a pod is gone, another begins": {b + "," + fresh, ""},
		"a second restart":              {again + "," + b, "a"},
		"a new pod that was restarted":  {a + "," + b + "," + c, "c"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := restarted(before, pods(test.now)); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
	if _, err := podRestarts([]byte("no list")); err == nil {
		t.Error("accepted text that is not a list of pods")
	}
}

func TestDeploymentProgress(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want verdict
	}{
		"not seen by the controller": {`{"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}}`, progressing},
		"an old pod is left":         {`{"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 3}}`, progressing},
		"one is not available":       {`{"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1}}`, progressing},
		"done":                       {`{"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}}`, served},
		"no replicas wanted":         {`{"metadata": {"generation": 2}, "spec": {"replicas": 0}, "status": {"observedGeneration": 2}}`, served},
		"too late": {`{"metadata": {"generation": 2}, "spec": {"replicas": 2}, "status": {"observedGeneration": 2, "replicas": 3, "updatedReplicas": 1, "availableReplicas": 2,
			"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}]}}`, gaveUp},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d deployment
			if err := json.Unmarshal([]byte(test.text), &d); err != nil {
				t.Fatal(err)
			}
			if p := d.progress(); p.verdict != test.want || len(p.lines) == 0 {
				t.Errorf("%+v, want verdict %d", p, test.want)
			}
		})
	}
}

// A status that the controller has only scaled says nothing about the new pods.
func TestRolloutDescribesPodsBefore(t *testing.T) {
	t.Parallel()
	rollout := func(generation, template, observed, hash string) argoRollout {
		var r argoRollout
		text := fmt.Sprintf(`{"metadata": {"generation": %s, "uid": "u"}, "spec": {"template": {"image": %q}}, "status": {"observedGeneration": %q, "currentPodHash": %q, "phase": "Healthy"}}`,
			generation, template, observed, hash)
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	before, unseen := rollout("7", "a", "7", "a"), rollout("7", "a", "6", "b")
	other := before
	other.Metadata.UID = "v"
	for name, test := range map[string]struct {
		before *argoRollout
		now    argoRollout
		want   bool
	}{
		"scaled only":                  {&before, rollout("8", "b", "8", "a"), true},
		"the new pods":                 {&before, rollout("8", "b", "8", "b"), false},
		"the same pods":                {&before, rollout("8", "a", "8", "a"), false},
		"the first one":                {nil, rollout("1", "b", "1", "a"), false},
		"another object":               {&other, rollout("8", "b", "8", "a"), false},
		"before the controller looked": {&unseen, rollout("8", "b", "8", "b"), false},
	} {
		if got := test.now.describes(test.before); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}

func TestRolloutProgress(t *testing.T) {
	t.Parallel()
	const head = `{"metadata": {"generation": 7, "uid": "u", "annotations": {"rollout.argoproj.io/revision": "3"}},
		"spec": {"replicas": 20, "strategy": {"canary": {"steps": [{"setWeight": 5}, {"analysis": {}}]}}}, "status": `
	runs := `[
		{"metadata": {"name": "now", "ownerReferences": [{"uid": "u"}], "annotations": {"rollout.argoproj.io/revision": "3"}}, "status": {"phase": "Failed", "message": "bad",
			"metricResults": [{"name": "error-rate", "measurements": [{"phase": "Failed", "value": "[0.05]"}]}]}},
		{"metadata": {"name": "of an earlier attempt", "ownerReferences": [{"uid": "u"}], "annotations": {"rollout.argoproj.io/revision": "2"}}},
		{"metadata": {"name": "of another rollout", "ownerReferences": [{"uid": "v"}], "annotations": {"rollout.argoproj.io/revision": "3"}}}]`
	for name, test := range map[string]struct {
		status string
		want   progress
	}{
		"not seen by the controller": {`{"observedGeneration": "6", "phase": "Healthy"}`, progress{lines: []string{"waiting for the controller"}}},
		"at a step": {`{"observedGeneration": "7", "phase": "Progressing", "currentStepIndex": 0, "replicas": 20, "updatedReplicas": 1, "currentPodHash": "b", "stableRS": "a"}`,
			progress{promotable: true, lines: []string{"step 1 of 2: setWeight 5, 1 of 20 pods are new"}}},
		"aborted": {`{"observedGeneration": "7", "phase": "Degraded", "abort": true, "message": "RolloutAborted", "currentStepIndex": 1, "replicas": 20}`,
			progress{verdict: gaveUp, why: "RolloutAborted", lines: []string{"step 2 of 2: analysis, 0 of 20 pods are new: RolloutAborted"}}},
		"too few requests": {`{"observedGeneration": "7", "phase": "Paused", "currentStepIndex": 1, "pauseConditions": [{"reason": "InconclusiveAnalysisRun"}]}`,
			progress{verdict: gaveUp, why: "the analysis is inconclusive: too few requests reached the canary to judge it", lines: []string{"step 2 of 2: analysis, 0 of 0 pods are new"}}},
		"done": {`{"observedGeneration": "7", "phase": "Healthy", "currentStepIndex": 2, "replicas": 20, "updatedReplicas": 20, "currentPodHash": "b", "stableRS": "b"}`,
			progress{verdict: served, lines: []string{"after the last step, 20 of 20 pods are new"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r argoRollout
			var list []analysisRun
			for text, into := range map[string]any{head + test.status + "}": &r, runs: &list} {
				if err := json.Unmarshal([]byte(text), into); err != nil {
					t.Fatal(err)
				}
			}
			if len(test.want.lines) > 0 && test.want.lines[0] != "waiting for the controller" {
				test.want.lines = append(test.want.lines, "analysis now: error-rate #1 = [0.05] Failed", "analysis now: Failed: bad")
			}
			if diff := cmp.Diff(test.want, r.progress(list), cmp.AllowUnexported(progress{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
