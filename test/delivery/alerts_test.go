package delivery

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestAlerts is proof 10: a version with errors and slow responses fires the alerts of k8s/cluster/monitoring. Alertmanager notifies the receiver
// of this repository's routes, and again after a good version has resolved the alerts.
func TestAlerts(t *testing.T) {
	f := setup(t)
	receiver := listen(t)
	f.monitor(t, receiver.URL)
	good := f.build(t, "Serve")
	f.deploy(t, good, true)
	const started = "a.started.Store(true)"
	f.edit(t, "service/app/app.go", started, started+"\n\ta.public.SetFault(&httpapi.Fault{ErrorRatio: 0.05, DelayRatio: 0.1, Delay: 2 * time.Second})")
	bad := f.build(t, "A bad version")
	alerts := []string{"OrdersErrorRateHigh", "OrdersLatencyHigh"}
	seen := f.under(t, 20, func() {
		f.deploy(t, bad, true)
		start := time.Now()
		for _, alert := range alerts {
			eventually(t, 10*time.Minute, alert+" notifies", func() bool { return receiver.has("firing", alert) })
			figure(t, "10 alert "+alert, "notified %.0f s after the bad version served", time.Since(start).Seconds())
		}
		f.deployOlder(t, good)
		start = time.Now()
		for _, alert := range alerts {
			eventually(t, 10*time.Minute, alert+" is resolved", func() bool { return receiver.has("resolved", alert) })
			figure(t, "10 alert "+alert, "resolved %.0f s after the good version served", time.Since(start).Seconds())
		}
	})
	t.Log(seen)
}

// deployOlder deploys a version that is older than the running one.
func (f *fixture) deployOlder(t *testing.T, v version) {
	t.Helper()
	f.deploy(t, v, true, "ALLOW_OLDER=true")
}

// monitor configures the platform's Prometheus and Alertmanager with this repository's rules and routes. All receivers get the same address.
func (f *fixture) monitor(t *testing.T, receiver string) {
	t.Helper()
	folder := filepath.Join(os.Getenv("SLIPWAY_STATE"), "monitoring")
	var object struct{ Spec map[string]any }
	if err := yaml.Unmarshal([]byte(f.read(t, "k8s/cluster/monitoring/rules.yaml")), &object); err != nil {
		t.Fatal(err)
	}
	rules, err := yaml.Marshal(object.Spec)
	if err != nil {
		t.Fatal(err)
	}
	routes := f.read(t, "k8s/cluster/monitoring/alertmanager.yaml")
	head, _, ok := strings.Cut(routes, "\nreceivers:\n")
	if !ok {
		t.Fatal("alertmanager.yaml has no receivers")
	}
	var b strings.Builder
	b.WriteString(head + "\nreceivers:\n  - name: none\n")
	for _, name := range []string{"chat", "pager", "mail"} {
		b.WriteString("  - name: " + name + "\n    webhook_configs: [{url: '" + receiver + "/" + name + "', send_resolved: true}]\n")
	}
	before, err := os.ReadFile(filepath.Join(folder, "alertmanager.yml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(folder, "rules", "orders.yml"), string(rules))
	write(t, filepath.Join(folder, "alertmanager.yml"), b.String())
	t.Cleanup(func() {
		_ = os.Remove(filepath.Join(folder, "rules", "orders.yml"))
		write(t, filepath.Join(folder, "alertmanager.yml"), string(before))
	})
	outside.Command(t, f.clone(), "platform", "up")
}

// A receiver records the notifications of Alertmanager.
type receiver struct {
	*httptest.Server
	mu            sync.Mutex
	notifications []string
}

// listen starts a receiver on loopback.
func listen(t *testing.T) *receiver {
	t.Helper()
	r := new(receiver)
	r.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		var message struct {
			Alerts []struct {
				Status string
				Labels map[string]string
			}
		}
		if err := json.NewDecoder(request.Body).Decode(&message); err != nil {
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, a := range message.Alerts {
			if a.Labels["namespace"] == staging {
				r.notifications = append(r.notifications, a.Status+" "+a.Labels["alertname"])
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) has(status, alert string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.notifications, status+" "+alert)
}
