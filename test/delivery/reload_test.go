package delivery

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestHotReload shows that running pods apply a change of their ConfigMap.
func TestHotReload(t *testing.T) {
	f := setup(t)
	f.deploy(t, f.build(t, "Serve"), true)
	pods := func() string {
		return outside.Kubectl(t, "--namespace", staging, "get", "pods", "--selector", "app.kubernetes.io/name=orders", "--field-selector", "status.phase=Running",
			"--output", `jsonpath={range .items[*]}{.metadata.name}:{.status.containerStatuses[0].restartCount} {end}`)
	}
	before := pods()
	text := f.read(t, "k8s/base/orders.conf")
	changed := strings.Replace(text, "log.level: info", "log.level: debug", 1)
	if changed == text {
		t.Fatal("orders.conf does not set the log level: the proof must follow it")
	}
	patch, err := json.Marshal(map[string]any{"data": map[string]string{"orders.conf": changed}})
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	outside.Kubectl(t, "--namespace", staging, "patch", "configmap", "orders-config", "--type", "merge", "--patch", string(patch))
	for name := range strings.FieldsSeq(before) {
		pod, _, _ := strings.Cut(name, ":")
		eventually(t, 4*time.Minute, pod+" has reloaded", func() bool {
			metrics := outside.Kubectl(t, "get", "--raw", "/api/v1/namespaces/"+staging+"/pods/"+pod+":8081/proxy/metrics")
			return strings.Contains(metrics, "config_last_reload_successful 1") && strings.Contains(metrics, `config_reloads_total{result="success"} 1`)
		})
	}
	figure(t, "- ConfigMap changed", "applied by all pods within %.0f s, none restarted", time.Since(start).Seconds())
	if after := pods(); after != before {
		t.Errorf("pods before: %s, after: %s", before, after)
	}
}
