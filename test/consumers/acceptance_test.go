package consumers

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAcceptance accepts the reference service, and does not when it answers with errors.
func TestAcceptance(t *testing.T) {
	t.Parallel()
	public, admin := orders(t)
	contract, err := os.ReadFile(filepath.Join(root, "service", "api", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := clone(t, "library")
	p.write(".gitlab-ci.yml", with("acceptance", "url: '"+public+"', contract: openapi.yaml, bodies: acceptance, needs: [], rate: 10, duration: 3s, max_p99: 10s, max_slowdown: 0"))
	p.write("openapi.yaml", string(contract))
	p.write("acceptance/createOrder.json", `{"customer":"acceptance","items":[{"sku":"tea","quantity":1,"unit_price":250}],"currency":"EUR"}`)
	p.write("acceptance/payOrder.json", `{}`)
	p.commit("Accept")
	o := p.run(nil, "acceptance")
	o.green("acceptance")
	for _, line := range []string{"✔ POST /v1/orders (", "✔ POST /v1/orders with a body that the contract forbids", "✔ POST /v1/orders/{id}/pay", "✔ GET /v1/orders/{id}", "30 requests at", "– PATCH /v1/orders/{id}"} {
		if !strings.Contains(o.log("acceptance"), line) {
			t.Errorf("the log does not say %q:\n%s", line, o.log("acceptance"))
		}
	}
	if report := o.artifact("acceptance", ".reports/acceptance.xml"); !strings.Contains(report, `failures="0"`) {
		t.Errorf("the report: %s", report)
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

// orders compiles and starts the reference service, with SQLite.
func orders(t *testing.T) (public, admin string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "orders")
	compile := exec.CommandContext(t.Context(), "go", "-C", filepath.Join(root, "service"), "build", "-o", binary, "./cmd/orders")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	c := exec.CommandContext(t.Context(), binary)
	c.Env = []string{"ORDERS_HTTP_ADDR=127.0.0.1:0", "ORDERS_ADMIN_ADDR=127.0.0.1:0", "ORDERS_RATE_LIMIT=0", "ORDERS_DATABASE_URL=sqlite:" + filepath.Join(t.TempDir(), "orders.db")}
	output, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	var line struct{ Msg, HTTP, Admin string }
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" {
			go func() { _, _ = io.Copy(io.Discard, output) }() // it must not wait for a reader
			return "http://" + line.HTTP, line.Admin
		}
	}
	t.Fatal("the service does not serve")
	return "", ""
}
