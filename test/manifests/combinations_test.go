package manifests

import (
	"cmp"
	"fmt"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/yannh/kubeconform/pkg/validator"
)

// exclusive are components that cannot be combined, by what they do.
var exclusive = [][2][]string{
	{{"hpa", "hpa-requests", "keda", "keda-kafka"}, {"keda", "keda-kafka"}},                                               // one autoscaler
	{{"sqlite"}, {"hpa", "hpa-requests", "keda", "keda-kafka", "canary", "canary-traefik", "migration"}},                  // one process
	{{"traefik", "canary-traefik"}, {"gateway-api"}}, {{"canary"}, {"canary-traefik"}}, {{"load-balancer"}, {"nodeport"}}, // the same objects
}

func areExclusive(a, b string) bool {
	for _, e := range exclusive {
		if slices.Contains(e[0], a) && slices.Contains(e[1], b) || slices.Contains(e[0], b) && slices.Contains(e[1], a) {
			return true
		}
	}
	return false
}

// testCombinations renders each pair of components in both orders. Those that exclude each other are refused; with the others the order does
// not matter, unless kustomize refuses it.
func testCombinations(t *testing.T, s *apiServer, offline validator.Validator) {
	build := func(t *testing.T, components ...string) (map[string]any, []byte, error) {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), s.hyperkube, "kubectl", "kustomize", kustomization(t, "try", components...)).CombinedOutput() // #nosec G204 -- the platform's own program
		if err != nil {
			return nil, out, err
		}
		return objects(t, out), out, nil
	}
	names := folders(t, "components")
	// In the order of docs/delivery.md: canaries last.
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(strings.Count(a, "canary"), strings.Count(b, "canary")) })
	for i, first := range names {
		for _, second := range names[i+1:] {
			t.Run(first+"+"+second, func(t *testing.T) {
				with := append(slices.Clone(companions[first]), companions[second]...)
				with = slices.DeleteFunc(with, func(c string) bool { return c == first || c == second })
				slices.Sort(with)
				with = slices.Compact(with)
				pair := []string{first, second}
				if slices.Contains(companions[first], second) {
					slices.Reverse(pair)
				}
				want, text, err := build(t, append(slices.Clone(with), pair...)...)
				slices.Reverse(pair)
				got, reversed, reversedErr := build(t, append(slices.Clone(with), pair...)...)
				if areExclusive(first, second) {
					if err == nil || reversedErr == nil {
						t.Errorf("they exclude each other and are not refused: %v, in the other order %v", err, reversedErr)
					}
					return
				}
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				conform(t, offline, text)
				consistent(t, want)
				sortEnv(want)
				sortEnv(got)
				if reversedErr == nil && !reflect.DeepEqual(got, want) {
					t.Errorf("the order changes what they do:\n%s\nin the other order:\n%s", text, reversed)
				}
			})
		}
	}
	// As the deploy stage adds a canary: to a finished overlay.
	for _, c := range [][2]string{{"hpa", "canary"}, {"keda", "canary"}, {"keda-kafka", "canary"}, {"traefik", "canary-traefik"}, {"migration", "canary"}} {
		t.Run(c[1]+" on "+c[0], func(t *testing.T) {
			overlay := kustomization(t, "try", c[0])
			dir := t.TempDir()
			below, err := filepath.Rel(dir, overlay)
			if err != nil {
				t.Fatal(err)
			}
			component, err := filepath.Abs(filepath.Join(k8s, "components", c[1]))
			if err == nil {
				component, err = filepath.Rel(dir, component)
			}
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "kustomization.yaml"), fmt.Sprintf("kind: Kustomization\nresources: [%s]\ncomponents: [%s]\n", below, component))
			manifests := render(t, s, dir)
			conform(t, offline, manifests)
			all := objects(t, manifests)
			consistent(t, all)
			if all["Rollout orders"] == nil {
				t.Errorf("there is no Rollout:\n%s", manifests)
			}
		})
	}
}

// sortEnv sorts the variables of containers by name; their order has no meaning here.
func sortEnv(value any) {
	switch v := value.(type) {
	case map[string]any:
		if env, ok := v["env"].([]any); ok {
			slices.SortFunc(env, func(a, b any) int {
				return cmp.Compare(fmt.Sprint(a.(map[string]any)["name"]), fmt.Sprint(b.(map[string]any)["name"]))
			})
		}
		for _, inner := range v {
			sortEnv(inner)
		}
	case []any:
		for _, inner := range v {
			sortEnv(inner)
		}
	}
}

// consistent checks that autoscalers scale what is there, that nothing else decides its replicas, and that a sidecar reaches Istio and KEDA the database.
func consistent(t *testing.T, all map[string]any) {
	t.Helper()
	if all["PeerAuthentication orders"] != nil {
		mesh, _ := all["NetworkPolicy orders-mesh"].(map[string]any)
		if rule := fmt.Sprint(mesh["spec"]); !strings.Contains(rule, "istio-system") || !strings.Contains(rule, "15012") {
			t.Error("the network policies keep the sidecar from istiod, so no pod becomes ready")
		}
	}
	if all["TriggerAuthentication orders-database"] != nil && all["StatefulSet orders-postgres"] != nil {
		policy, _ := all["NetworkPolicy orders-postgres-keda"].(map[string]any)
		if rule := fmt.Sprint(policy["spec"]); !strings.Contains(rule, "kubernetes.io/metadata.name:keda") {
			t.Error("the network policies keep KEDA from the database that it asks")
		}
	}
	for name, o := range all {
		spec, _ := o.(map[string]any)["spec"].(map[string]any)
		target, ok := spec["scaleTargetRef"].(map[string]any)
		if !ok {
			continue
		}
		kind, _ := target["kind"].(string)
		workload, _ := all[cmp.Or(kind, "Deployment")+" "+target["name"].(string)].(map[string]any)
		if workload == nil {
			t.Errorf("%s scales %v, which is not there", name, target)
			continue
		}
		if replicas := workload["spec"].(map[string]any)["replicas"]; replicas != nil {
			t.Errorf("%s scales %v, which has %v replicas of its own", name, target, replicas)
		}
	}
}
