package manifests

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// TestDashboard runs every query of the dashboard and every selector of the rules on a Prometheus that scrapes the running service: each must
// be valid and have series, so that none names a metric or a label that the service does not have.
func TestDashboard(t *testing.T) {
	t.Parallel()
	prometheus := program(t, "prometheus")
	service := startService(t)
	dir := t.TempDir()
	groups := readRules(t)
	for i := range groups.Groups {
		groups.Groups[i].Interval = "1s"
	}
	text, err := yaml.Marshal(groups)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "rules.yml"), string(text))
	// The labels that the PodMonitor and its operator set.
	write(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf(`global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [rules.yml]
scrape_configs:
  - job_name: orders
    static_configs: [{targets: [%q], labels: {namespace: orders-staging, pod: orders-1, track: stable}}]
`, service.admin))
	address := outside.FreeAddress(t)
	server := exec.Command(prometheus, "--config.file", filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address) // #nosec G204 -- our own arguments
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	service.exercise(t)

	substitute := strings.NewReplacer("$namespace", "orders-staging", "$__rate_interval", "5m")
	queries := dashboardQueries(t)
	selector := regexp.MustCompile(`[a-z][a-z0-9_:]*\{[^}]*\}`)
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			queries = append(queries, selector.FindAllString(r.Expr, -1)...)
		}
	}
	slices.Sort(queries)
	queries = slices.Compact(queries)
	if len(queries) < 20 {
		t.Fatalf("only %d queries: %q", len(queries), queries)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for _, query := range queries {
		query = substitute.Replace(query)
		for {
			series, err := countSeries("http://"+address, query)
			if err == nil && series > 0 {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s: %d series, %v", query, series, err)
				break
			}
			time.Sleep(500 * time.Millisecond)
		}
	}
}

// dashboardQueries returns the expressions of all panels.
func dashboardQueries(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(monitoring, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var queries []string
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			if target.Expr == "" {
				t.Errorf("panel %q has a target without a query", p.Title)
			}
			queries = append(queries, target.Expr)
		}
	}
	return queries
}

// countSeries returns the number of series of a query.
func countSeries(prometheus, query string) (int, error) {
	response, err := http.Get(prometheus + "/api/v1/query?query=" + url.QueryEscape(query)) // #nosec G107 -- the test's own server
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s", response.Status, answer.Error)
	}
	return len(answer.Data.Result), nil
}

// A running orders service.
type service struct{ public, admin string }

// startService starts the service with a payment provider that fails.
func startService(t *testing.T) service {
	t.Helper()
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }))
	t.Cleanup(provider.Close)
	public, admin := outside.StartOrders(t, "../..", "ORDERS_HTTP_MAX_IN_FLIGHT=2", "ORDERS_PAYMENTS_RETRIES=0", "GOMEMLIMIT=90MiB", "ORDERS_PAYMENTS_URL="+provider.URL)
	return service{public, admin}
}

// exercise creates every series of the service: orders, failing payments, errors, and more concurrent requests than it serves.
func (s service) exercise(t *testing.T) {
	t.Helper()
	client := &http.Client{Timeout: 10 * time.Second}
	send := func(method, url, body string, want int) string {
		request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		response, err := client.Do(request)
		if err != nil {
			t.Errorf("%s %s: %v", method, url, err)
			return ""
		}
		defer response.Body.Close()
		if want != 0 && response.StatusCode != want {
			text, _ := io.ReadAll(response.Body)
			t.Errorf("%s %s: %s, want %d: %s", method, url, response.Status, want, text)
		}
		return response.Header.Get("Location")
	}
	const order = `{"customer":"a","items":[{"sku":"tea","quantity":1,"unit_price":250}],"currency":"EUR"}`
	faults := "http://" + s.admin + "/faults"
	// Twice with time for a scrape in between: a series that begins with its last value has no rate.
	for range 2 {
		location := send(http.MethodPost, s.public+"/v1/orders", order, http.StatusCreated)
		send(http.MethodPost, s.public+location+"/pay", "", 0)
		send(http.MethodGet, s.public+"/v1/orders", "", http.StatusOK)
		send(http.MethodPut, faults, `{"delay_ratio":1,"delay":"500ms"}`, http.StatusNoContent)
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() { send(http.MethodGet, s.public+"/v1/orders", "", 0) })
		}
		wait.Wait()
		send(http.MethodPut, faults, `{"error_ratio":1}`, http.StatusNoContent)
		send(http.MethodGet, s.public+"/v1/orders", "", 0)
		send(http.MethodDelete, faults, "", http.StatusNoContent)
		time.Sleep(3 * time.Second)
	}
}
