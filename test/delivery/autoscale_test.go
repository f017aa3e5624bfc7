package delivery

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

const (
	// leastPods is the component's minReplicas, mostPods the maxReplicas of this proof.
	leastPods, mostPods = 2, 4
	// autoscaleRate is the load in requests per second. SLIPWAY_DELIVERY_RATE does not lower it: fewer requests would not take the CPU
	// time that the autoscaler acts on.
	autoscaleRate = 100
)

// TestAutoscale is proof 11: the number of pods follows the CPU time that requests take, up under load and down after it. Staging has the component
// hpa for this proof, with fewer pods at most, smaller requests for CPU and a shorter wait before the first pod is taken away: still longer than the
// minute of its scaleDown policy, since pods that were added in that minute may all go at once. The target and the steps are the component's own.
func TestAutoscale(t *testing.T) {
	f := setup(t)
	const overlay = "k8s/overlays/staging/kustomization.yaml"
	f.edit(t, overlay, "replicas:\n  - name: orders\n    count: 2\n", "")
	f.edit(t, overlay, "  - ../../components/ingress\n", "  - ../../components/ingress\n  - ../../components/hpa\n")
	f.edit(t, overlay, "patches:\n", `patches:
  - target: {kind: HorizontalPodAutoscaler, name: orders}
    patch: |-
      - {op: replace, path: /spec/maxReplicas, value: `+strconv.Itoa(mostPods)+`}
      - {op: replace, path: /spec/behavior/scaleDown/stabilizationWindowSeconds, value: 75}
  - target: {kind: Deployment, name: orders}
    patch: |-
      - {op: replace, path: /spec/template/spec/containers/0/resources/requests/cpu, value: 20m}
`)
	t.Cleanup(func() { outside.Kubectl(t, "--namespace", staging, "delete", "--ignore-not-found", "hpa/orders") })
	f.deploy(t, f.build(t, "Scale"), true)
	get := func(object, path string) string {
		return outside.Kubectl(t, "--namespace", staging, "get", object, "--output", "jsonpath={"+path+"}")
	}
	ready := func() int {
		n, _ := strconv.Atoi(get("deployment/orders", ".status.readyReplicas"))
		return n
	}
	usage := func() int {
		n, _ := strconv.Atoi(get("hpa/orders", ".status.currentMetrics[0].resource.current.averageUtilization"))
		return n
	}
	idle := 0
	eventually(t, 4*time.Minute, "the autoscaler knows what the pods use, and they are the least that it may have", func() bool {
		idle = usage()
		return idle > 0 && ready() == leastPods
	})

	busy := 0
	var up time.Duration
	seen := f.under(t, autoscaleRate, func() {
		up = eventually(t, 4*time.Minute, "there are more pods", func() bool {
			busy = max(busy, usage())
			return ready() > leastPods
		})
	})
	down := eventually(t, 8*time.Minute, "the least number of pods is left", func() bool {
		return ready() == leastPods && get("deployment/orders", ".spec.replicas") == strconv.Itoa(leastPods)
	})

	grown, shrunk := rescales(t, get("hpa/orders", ".metadata.uid"))
	if len(grown) == 0 || slices.Max(grown) > mostPods {
		t.Fatalf("the autoscaler has set %v pods under load, want more than %d and at most %d", grown, leastPods, mostPods)
	}
	// One pod at a time, from the most to the least.
	var want []int
	for n := slices.Max(grown) - 1; n >= leastPods; n-- {
		want = append(want, n)
	}
	if !slices.Equal(want, shrunk) {
		t.Errorf("the autoscaler has set %v pods after the load, want one less each time: %v", shrunk, want)
	}
	figure(t, "11 autoscaling", "%d %% of the requested CPU before, %d %% under load: from %d pods to %d, the first more after %.0f s; one less each minute, %d again %.0f s after the load; %d requests at %.0f/s, %d failed",
		idle, busy, leastPods, slices.Max(grown), up.Seconds(), leastPods, down.Seconds(), seen.Requests, seen.Rate, seen.Failed)
	unnoticed(t, seen)
}

var rescaled = regexp.MustCompile(`New size: (\d+); reason: (.*)`)

// rescales returns the numbers of pods that an autoscaler has set because of usage above its target, and because of usage below it, in
// descending order.
func rescales(t *testing.T, uid string) (grown, shrunk []int) {
	t.Helper()
	messages := outside.Kubectl(t, "--namespace", staging, "get", "events", "--field-selector", "reason=SuccessfulRescale,involvedObject.uid="+uid,
		"--output", `jsonpath={range .items[*]}{.message}{"\n"}{end}`)
	t.Logf("the autoscaler:\n%s", messages)
	for _, message := range rescaled.FindAllStringSubmatch(messages, -1) {
		n, _ := strconv.Atoi(message[1])
		switch reason := message[2]; {
		case strings.Contains(reason, "below target"):
			shrunk = append(shrunk, n)
		case strings.Contains(reason, "above target"):
			grown = append(grown, n)
		}
	}
	for _, sizes := range [][]int{grown, shrunk} {
		slices.SortFunc(sizes, func(a, b int) int { return b - a })
	}
	return grown, shrunk
}
