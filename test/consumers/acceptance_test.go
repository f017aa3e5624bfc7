package consumers

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestAcceptance runs the stage against the reference service, and again when it responds with errors.
func TestAcceptance(t *testing.T) {
	t.Parallel()
	public, admin := outside.StartOrders(t, root, "ORDERS_RATE_LIMIT=0")
	contract, err := os.ReadFile(filepath.Join(root, "service", "api", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := clone(t, "library")
	p.write(".gitlab-ci.yml", with("acceptance", "url: '"+public+"', contract: openapi.yaml, bodies: acceptance, needs: [], rate: 10, duration: 3s, max_p99: 10s, max_slowdown: 0, except: 'PATCH /v1/orders/{id}, cancelOrder'"))
	p.write("openapi.yaml", string(contract))
	p.write("acceptance/createOrder.json", `{"customer":"acceptance","items":[{"sku":"tea","quantity":1,"unit_price":250}],"currency":"EUR"}`)
	p.write("acceptance/payOrder.json", `{}`)
	p.commit("Accept")
	o := p.run(nil, "acceptance")
	o.green("acceptance")
	for _, line := range []string{"✔ POST /v1/orders (", "✔ POST /v1/orders with a body that the contract forbids", "✔ POST /v1/orders/{id}/pay", "✔ GET /v1/orders/{id}", "30 requests at", "– PATCH /v1/orders/{id}: left out by except", "– POST /v1/orders/{id}/cancel: left out by except"} {
		if !strings.Contains(o.log("acceptance"), line) {
			t.Errorf("the log does not contain %q:\n%s", line, o.log("acceptance"))
		}
	}
	if report := o.artifact("acceptance", ".reports/acceptance/acceptance.xml"); !strings.Contains(report, `failures="0"`) {
		t.Errorf("want a report without failures: %s", report)
	}

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+admin+"/faults", strings.NewReader(`{"error_ratio":1}`))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	p.run(nil, "acceptance").red("acceptance", 1, "✘ GET /v1/orders: status 5")
}
