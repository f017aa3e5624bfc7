// Package e2e proves the delivery from outside, against the running platform: what production serves, how a rollout
// affects users, and that a broken version is not rolled out. It runs with SLIPWAY_E2E=1 (`make e2e`), after `make pipeline`
// and `make approve`.
package e2e

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/load"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

const (
	ingress    = "http://127.0.0.1:8080"
	staging    = "orders-staging.localhost"
	production = "orders-production.localhost"
)

// deliveryOnly is the configuration of the rehearsals: the stages image and deploy, without the checks that `make pipeline` has run.
const deliveryOnly = `
include:
  - local: /ci/image.yml
    inputs: {directory: service, package: ./cmd/orders}
  - local: /ci/deploy.yml
    inputs: {app: orders, needs: [build-image]}
`

func TestDelivery(t *testing.T) {
	if os.Getenv("SLIPWAY_E2E") == "" {
		t.Skip("needs the platform and a delivered service: make e2e")
	}
	repository := outside.Command(t, "", "git", "rev-parse", "--show-toplevel")

	t.Run("production serves the commit that was approved", func(t *testing.T) {
		head := outside.Command(t, repository, "git", "rev-parse", "HEAD")
		if version := outside.ServedCommit(t, "orders-production"); version != head {
			t.Errorf("production serves commit %s, want %s", version, head)
		}
		if staged, live := outside.Image(t, "orders-staging"), outside.Image(t, "orders-production"); staged != live || !strings.Contains(live, "@sha256:") {
			t.Errorf("production runs %q, staging tested %q: they must be one digest", live, staged)
		}
		placeAndReadOrder(t, production)
	})

	clone := filepath.Join(t.TempDir(), "slipway")
	outside.Command(t, "", "git", "clone", "--quiet", repository, clone)
	commit(t, clone, ".gitlab-ci.yml", deliveryOnly)

	t.Run("a new commit reaches staging without a failed request", func(t *testing.T) {
		commit(t, clone, "service/cmd/orders/rehearsal.go", "package main\n\n// Rehearsal of a rollout.\n")
		before := outside.Image(t, "orders-staging")

		ctx, stop := context.WithCancel(t.Context())
		report := make(chan load.Report)
		go func() {
			report <- load.Run(ctx, load.Config{URL: ingress, Host: staging, Rate: 50, Timeout: 5 * time.Second, Limit: 20_000})
		}()
		output, err := deployToStaging(t, clone)
		stop()
		seen := <-report
		t.Log(seen)
		if err != nil {
			t.Fatalf("the pipeline of a good commit failed: %v\n%s", err, output)
		}
		if after := outside.Image(t, "orders-staging"); after == before {
			t.Errorf("staging still runs %s", after)
		}
		if version, head := outside.ServedCommit(t, "orders-staging"), outside.Command(t, clone, "git", "rev-parse", "HEAD"); version != head {
			t.Errorf("staging serves commit %s, want %s", version, head)
		}
		if seen.Requests < 100 || seen.Failed > 0 {
			t.Errorf("want at least 100 requests and none failed, got %s", seen)
		}
	})

	t.Run("a commit that breaks readyz fails and the old version keeps serving", func(t *testing.T) {
		before, served := outside.Image(t, "orders-staging"), outside.ServedCommit(t, "orders-staging")
		replace(t, clone, "service/admin/admin.go", `"GET /readyz"`, `"GET /broken"`)
		replace(t, clone, "k8s/base/deployment.yaml", "progressDeadlineSeconds: 120", "progressDeadlineSeconds: 15")
		ctx, stop := context.WithCancel(t.Context())
		report := make(chan load.Report)
		go func() {
			report <- load.Run(ctx, load.Config{URL: ingress, Host: staging, Rate: 20, Timeout: 5 * time.Second, Limit: 20_000})
		}()
		output, err := deployToStaging(t, clone)
		stop()
		seen := <-report
		t.Log(seen)
		if err == nil {
			t.Errorf("the pipeline of a broken commit succeeded:\n%s", output)
		}
		if !strings.Contains(output, "version before it serves again") {
			t.Errorf("the log does not contain that the old version serves again:\n%s", output)
		}
		if after := outside.Image(t, "orders-staging"); after != before {
			t.Errorf("staging runs %s, want the last good %s", after, before)
		}
		if version := outside.ServedCommit(t, "orders-staging"); version != served {
			t.Errorf("staging serves commit %s, want the last good %s", version, served)
		}
		if seen.Failed > 0 {
			t.Errorf("users noticed: %s", seen)
		}
	})
}

// deployToStaging runs the part of the pipeline that ends in staging: the image and the deployment.
func deployToStaging(t *testing.T, clone string) (string, error) {
	t.Helper()
	run := exec.CommandContext(t.Context(), "slipway", "run", "deploy-staging", "--event", "push", "--branch", "main", "--no-input",
		"--executor", "shell", "--no-sandbox", "--var", "ALLOW_OLDER=true", "--variables", os.Getenv("SLIPWAY_VARIABLES"))
	run.Dir = clone
	output, err := run.CombinedOutput()
	return string(output), err
}

// placeAndReadOrder creates an order through the ingress and reads it again, like a user.
func placeAndReadOrder(t *testing.T, host string) {
	t.Helper()
	status, body, header := request(t, http.MethodPost, host, "/v1/orders", load.NewOrder)
	if status != http.StatusCreated {
		t.Fatalf("POST /v1/orders answers %d: %s", status, body)
	}
	location := header.Get("Location")
	status, again, _ := request(t, http.MethodGet, host, location, "")
	if status != http.StatusOK || !bytes.Equal(bytes.TrimSpace(again), bytes.TrimSpace(body)) {
		t.Errorf("GET %s answers %d %s, want 200 %s", location, status, again, body)
	}
}

func request(t *testing.T, method, host, path, body string) (int, []byte, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, ingress+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer, response.Header
}

// commit writes a file in the clone and commits it.
func commit(t *testing.T, clone, path, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(clone, path), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	outside.Command(t, clone, "git", "add", path)
	outside.Command(t, clone, "git", "-c", "user.name=Rehearsal", "-c", "user.email=rehearsal@example.com", "commit", "--quiet", "-m", "Rehearse "+path)
}

// replace replaces the only occurrence of old in a file of the clone, and commits it.
func replace(t *testing.T, clone, path, old, new string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(clone, path))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Count(content, []byte(old)) != 1 {
		t.Fatalf("%s does not have %q once: the rehearsal must follow the code", path, old)
	}
	commit(t, clone, path, strings.Replace(string(content), old, new, 1))
}
