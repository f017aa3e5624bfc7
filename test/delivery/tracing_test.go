package delivery

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestTracing sends a request with the trace of its caller and finds that trace in Jaeger: the service's span, with the version that is deployed, and
// those of its database. It goes the way that the component tracing describes: to the collector in the namespace, which has the component's
// configuration and network policy, and from there to the platform's.
func TestTracing(t *testing.T) {
	f := setup(t)
	const overlay = "k8s/overlays/staging/kustomization.yaml"
	binary := filepath.Join(t.TempDir(), "otelcol")
	compile(t, filepath.Join(f.clone(), "platform", "tracing"), "./otelcol", binary, "-s -w")
	repository := f.registry + "/delivery/collector"
	digest := f.push(t, binary, repository+":proof")
	f.edit(t, overlay, "  - ../../components/ingress\n", "  - ../../components/ingress\n  - ../../components/tracing\n")
	f.edit(t, overlay, "patches:\n", `images:
  - {name: ghcr.io/open-telemetry/opentelemetry-collector-releases/opentelemetry-collector, newName: `+repository+`, digest: "`+digest+`"}
patches:
  - target: {kind: Deployment, name: orders-collector}
    patch: |-
      - {op: add, path: /spec/template/spec/containers/0/env, value: [{name: TRACES_ENDPOINT, value: "collector.tracing.svc:4317"}]}
`)
	t.Cleanup(func() {
		outside.Kubectl(t, "--namespace", staging, "delete", "--ignore-not-found", "deployment/orders-collector", "service/orders-collector", "networkpolicy/orders-collector")
	})
	for _, message := range []string{"Trace", "Trace again"} {
		v := f.build(t, message)
		f.deploy(t, v, true)
		outside.Kubectl(t, "--namespace", staging, "rollout", "status", "deployment/orders-collector", "--timeout", "2m")
		id, span := random(t, 16), random(t, 8)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.ingress+"/v1/orders", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = staging + ".localhost"
		request.Header.Set("Traceparent", "00-"+id+"-"+span+"-01")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("the request has the status %s", response.Status)
		}
		var found trace
		took := eventually(t, time.Minute, "the trace is in Jaeger", func() bool {
			found = jaegerTrace(t, id)
			return len(found.Spans) > 1
		})
		if got := found.version(t, span); got != v.name() {
			t.Errorf("the trace names the version %q, want %q", got, v.name())
		}
		figure(t, "tracing", "%d spans of a request in Jaeger after %.1f s, with the version that is deployed", len(found.Spans), took.Seconds())
	}
}

func random(t *testing.T, bytes int) string {
	t.Helper()
	b := make([]byte, bytes)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b)
}

// A trace is a trace as Jaeger's API returns it.
type trace struct {
	Spans []struct {
		OperationName, ProcessID string
		References               []struct{ SpanID string }
	}
	Processes map[string]struct {
		ServiceName string
		Tags        []struct {
			Key   string
			Value any
		}
	}
}

// jaegerTrace returns a trace; one without spans if Jaeger does not have it.
func jaegerTrace(t *testing.T, id string) trace {
	t.Helper()
	status, body := request(t.Context(), http.MethodGet, "http://127.0.0.1:"+os.Getenv("SLIPWAY_TRACES_PORT")+"/api/traces/"+id, "", "")
	if status == http.StatusNotFound {
		return trace{}
	}
	var answer struct{ Data []trace }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK || len(answer.Data) != 1 {
		t.Fatalf("Jaeger answers %d %s: %v", status, body, err)
	}
	return answer.Data[0]
}

// version returns the version of the service whose span follows the caller's.
func (tr trace) version(t *testing.T, caller string) string {
	t.Helper()
	for _, span := range tr.Spans {
		for _, reference := range span.References {
			if reference.SpanID != caller {
				continue
			}
			process := tr.Processes[span.ProcessID]
			for _, tag := range process.Tags {
				if tag.Key == "service.version" && process.ServiceName == "orders" {
					return fmt.Sprint(tag.Value)
				}
			}
		}
	}
	t.Fatalf("no span of orders follows %s: %+v", caller, tr)
	return ""
}
