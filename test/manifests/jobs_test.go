package manifests

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestManifestsMigration deploys versions with the component migration to a real API server, in which the test plays the controllers.
func TestManifestsMigration(t *testing.T) {
	s := startAPIServer(t)
	slipway := buildSlipway(t)
	const namespace, repository = "migration", "registry.example.com/orders@sha256:"
	s.namespace(t, namespace)
	rendered := string(render(t, s, kustomization(t, namespace, "migration")))
	deploy := func(digest string) *process {
		t.Helper()
		manifest := filepath.Join(t.TempDir(), "manifests.yaml")
		write(t, manifest, strings.ReplaceAll(rendered, "image: orders", "image: "+repository+digest))
		return startRollout(t, slipway, t.TempDir(), s.kubeconfig, "apply", "--name", "orders", "--namespace", namespace, "--filename", manifest,
			"--image", repository+digest, "--commit", digest, "--by", "job", "--timeout", "5s")
	}
	kubectl := func(args ...string) string {
		t.Helper()
		out, err := s.kubectl(t, nil, append([]string{"--namespace", namespace}, args...)...)
		if err != nil {
			t.Fatalf("kubectl %v: %v\n%s", args, err, out)
		}
		return out
	}
	end := func(conditions string) {
		t.Helper()
		now := time.Now().UTC().Format(time.RFC3339)
		kubectl("patch", "job/orders-migrate", "--subresource", "status", "--type", "merge", "--patch",
			strings.ReplaceAll(`{"status":{"startTime":"NOW",`+conditions+`}}`, "NOW", now))
	}
	workload := func() string { return kubectl("get", "deployments", "--output", "jsonpath={..containers[*].image}") }
	job := func() string { return kubectl("get", "jobs", "--output", "jsonpath={..containers[*].image}") }

	first := deploy("a")
	first.says(t, "Waiting for the Job orders-migrate")
	time.Sleep(3 * time.Second) // it asks every two
	if image := workload(); image != "" {
		t.Errorf("the pods are replaced during the migration: %s", image)
	}
	if image := job(); image != repository+"a" {
		t.Errorf("the migration is that of %s", image)
	}
	end(`"completionTime":"NOW","conditions":[{"type":"SuccessCriteriaMet","status":"True"},{"type":"Complete","status":"True"}]`)
	first.says(t, "waiting for the controller")
	if image := workload(); image != repository+"a" {
		t.Errorf("after the migration the pods are of %q", image)
	}
	_ = first.cmd.Process.Signal(os.Interrupt)
	first.exit()
	kubectl("label", "--overwrite", "configmap/orders-release-1", "slipway.dev/state=good")

	// The Job of the version before is still there, and cannot be changed.
	second := deploy("b")
	second.says(t, "Waiting for the Job orders-migrate")
	if image := job(); image != repository+"b" {
		t.Errorf("the migration is that of %s", image)
	}
	end(`"conditions":[{"type":"FailureTarget","status":"True"},{"type":"Failed","status":"True","reason":"BackoffLimitExceeded","message":"Job has reached the specified backoff limit"}]`)
	if code := second.exit(); code != 1 {
		t.Errorf("a failed migration ends with %d, want 1", code)
	}
	second.says(t, "the Job orders-migrate has failed: BackoffLimitExceeded: Job has reached the specified backoff limit")
	second.says(t, "going back to release 1")
	if image := workload(); image != repository+"a" {
		t.Errorf("after a failed migration the pods are of %q", image)
	}
	// Going back migrates nothing.
	if image := job(); image != repository+"b" {
		t.Errorf("the migration is that of %s", image)
	}
	t.Run("leftovers", func(t *testing.T) { testLeftovers(t, s, slipway) })
}

// testLeftovers takes a component out of the overlay. No pod answers the smoke test, so each version fails after its rollout.
func testLeftovers(t *testing.T, s *apiServer, slipway string) {
	const namespace, image = "leftovers", "registry.example.com/orders@sha256:0"
	s.namespace(t, namespace)
	deploy := func(components ...string) *process {
		t.Helper()
		manifest := filepath.Join(t.TempDir(), "manifests.yaml")
		write(t, manifest, strings.ReplaceAll(string(render(t, s, kustomization(t, namespace, components...))), "image: orders", "image: "+image))
		p := startRollout(t, slipway, t.TempDir(), s.kubeconfig, "apply", "--name", "orders", "--namespace", namespace, "--filename", manifest,
			"--image", image, "--commit", "0", "--by", "job", "--timeout", "1m")
		p.says(t, "Rolling out release")
		return p
	}
	// rollOut does what the controller would.
	rollOut := func() {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
			out, err := s.kubectl(t, nil, "--namespace", namespace, "get", "deployment/orders", "--output", "jsonpath={.metadata.generation}")
			if err == nil {
				out, err = s.kubectl(t, nil, "--namespace", namespace, "patch", "deployment/orders", "--subresource", "status", "--type", "merge", "--patch",
					`{"status":{"observedGeneration":`+out+`,"replicas":2,"updatedReplicas":2,"readyReplicas":2,"availableReplicas":2}}`)
			}
			if err == nil {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%v\n%s", err, out)
			}
		}
	}
	first := deploy("hpa")
	first.says(t, "waiting for the controller")
	rollOut()
	if code := first.exit(); code != 1 {
		t.Errorf("the first ends with %d, want 1:\n%s", code, first)
	}
	if out, err := s.kubectl(t, nil, "--namespace", namespace, "label", "--overwrite", "configmap/orders-release-1", "slipway.dev/state=good"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	second := deploy()
	second.says(t, "waiting for the controller") // replicas, which the autoscaler had decided, are in the manifests now
	rollOut()
	second.says(t, "Deleting what this version does not have any more")
	second.says(t, `horizontalpodautoscaler.autoscaling "orders" deleted`)
	second.says(t, "going back to release 1")
	second.says(t, "horizontalpodautoscaler.autoscaling/orders created")
}
