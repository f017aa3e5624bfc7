package manifests

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

const monitoring = k8s + "/cluster/monitoring"

// program returns the path of one of Prometheus' tools.
func program(t *testing.T, name string) string {
	t.Helper()
	return outside.Program(t, name, "PROMETHEUS", "apt-get install prometheus prometheus-alertmanager")
}

// rules are the groups of the PrometheusRule.
type rules struct {
	Groups []struct {
		Name, Interval string
		Rules          []struct {
			Record      string            `yaml:",omitempty"`
			Alert       string            `yaml:",omitempty"`
			Expr        string            `yaml:",omitempty"`
			For         string            `yaml:",omitempty"`
			Labels      map[string]string `yaml:",omitempty"`
			Annotations map[string]string `yaml:",omitempty"`
		}
	}
}

func readRules(t *testing.T) rules {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(monitoring, "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var object struct{ Spec rules }
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	if len(object.Spec.Groups) == 0 {
		t.Fatal("no groups")
	}
	return object.Spec
}

// TestAlertRules runs promtool's unit tests on the rules.
func TestAlertRules(t *testing.T) {
	t.Parallel()
	promtool := program(t, "promtool")
	dir := t.TempDir()
	text, err := yaml.Marshal(readRules(t))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "rules.yml"), string(text))
	tests, err := os.ReadFile("testdata/alerts_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "alerts_test.yml"), string(tests))
	for _, args := range [][]string{{"check", "rules", "--lint=all", "--lint-fatal", "rules.yml"}, {"test", "rules", "alerts_test.yml"}} {
		c := exec.Command(promtool, args...) // #nosec G204 -- our own arguments
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestRunbooks checks that every alert has a runbook, and every runbook an alert.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	const pages = "../../docs/runbooks"
	named := map[string]bool{}
	for _, g := range readRules(t).Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				continue
			}
			_, page, ok := strings.Cut(r.Annotations["runbook_url"], "/docs/runbooks/")
			text, err := os.ReadFile(filepath.Join(pages, page))
			if !ok || err != nil || !strings.HasPrefix(string(text), "# "+r.Alert+"\n") {
				t.Errorf("%s: runbook_url %q is not a page with that title: %v", r.Alert, r.Annotations["runbook_url"], err)
			}
			if s := r.Labels["severity"]; s != "page" && s != "notify" {
				t.Errorf("%s: severity %q has no route", r.Alert, s)
			}
			named[page] = true
		}
	}
	files, err := os.ReadDir(pages)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !named[f.Name()] {
			t.Errorf("%s is not the runbook of an alert", f.Name())
		}
	}
}

// TestRoutes checks the receivers of alerts with amtool.
func TestRoutes(t *testing.T) {
	t.Parallel()
	amtool := program(t, "amtool")
	file := filepath.Join(monitoring, "alertmanager.yaml")
	if out, err := exec.Command(amtool, "check-config", file).CombinedOutput(); err != nil { // #nosec G204 -- our own arguments
		t.Fatalf("%v\n%s", err, out)
	}
	for _, c := range []struct{ name, labels, want string }{
		{"a page of production", "severity=page namespace=orders-production", "pager,chat"},
		{"a page of staging", "severity=page namespace=orders-staging", "chat"},
		{"a notification of production", "severity=notify namespace=orders-production", "chat"},
		{"a notification of a review", "severity=notify namespace=orders-review", "none"},
		{"a slow burn", "severity=notify namespace=orders-production alertname=OrdersBudgetBurnSlow", "mail"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"config", "routes", "test", "--config.file", file}, strings.Fields(c.labels)...)
			out, err := exec.Command(amtool, args...).Output() // #nosec G204 -- our own arguments
			if err != nil || strings.TrimSpace(string(out)) != c.want {
				t.Errorf("goes to %q (%v), want %q", strings.TrimSpace(string(out)), err, c.want)
			}
		})
	}
}
