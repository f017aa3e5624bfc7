package app_test

import (
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/service/config"
	"gitlab.com/slipway-ci/slipway/service/testlog"
)

const k8s = "../../k8s"

type probe struct {
	HTTPGet  struct{ Path, Port string } `yaml:"httpGet"`
	Period   int                         `yaml:"periodSeconds"`
	Failures int                         `yaml:"failureThreshold"`
}

// TestManifest reads the numbers that the service and its manifest must agree on.
func TestManifest(t *testing.T) {
	t.Parallel()
	testlog.ReadsOutside()
	b, err := os.ReadFile(filepath.Join(k8s, "base", "deployment.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var deployment struct {
		Spec struct {
			Deadline int `yaml:"progressDeadlineSeconds"`
			Template struct {
				Spec struct {
					Grace      int `yaml:"terminationGracePeriodSeconds"`
					Containers []struct {
						Ports []struct {
							Name string
							Port int `yaml:"containerPort"`
						}
						Env            []struct{ Name, Value string }
						StartupProbe   probe `yaml:"startupProbe"`
						ReadinessProbe probe `yaml:"readinessProbe"`
						LivenessProbe  probe `yaml:"livenessProbe"`
					}
				}
			}
		}
	}
	if err := yaml.Unmarshal(b, &deployment); err != nil {
		t.Fatal(err)
	}
	pod := deployment.Spec.Template.Spec
	container := pod.Containers[0]
	var environ []string
	for _, e := range container.Env {
		if e.Name == "ORDERS_DATABASE_URL_FILE" || e.Name == "ORDERS_API_KEYS_FILE" {
			continue // a file in the container
		}
		if e.Name == "ORDERS_CONFIG" {
			e.Value = filepath.Join(k8s, "base", filepath.Base(e.Value))
		}
		environ = append(environ, e.Name+"="+e.Value)
	}
	c, err := config.Source{Environ: environ}.Load()
	if err != nil {
		t.Fatalf("the service refuses its manifest: %v", err)
	}
	const margin = 3 * time.Second // to start the end and to be gone
	if grace := time.Duration(pod.Grace) * time.Second; c.Shutdown.Drain+c.Shutdown.Timeout+margin > grace {
		t.Errorf("the drain delay %v and the budget %v do not fit into the grace period of %v", c.Shutdown.Drain, c.Shutdown.Timeout, grace)
	}
	startup := time.Duration(container.StartupProbe.Period*container.StartupProbe.Failures) * time.Second
	if deadline := time.Duration(deployment.Spec.Deadline) * time.Second; c.Database.MigrateTimeout+margin > startup || startup > deadline {
		t.Errorf("migrations may take %v, the startup probe waits %v, the rollout %v: each must be longer than the one before", c.Database.MigrateTimeout, startup, deadline)
	}
	if len(c.HTTP.TrustedProxies()) == 0 {
		t.Error("the manifest trusts no proxy: behind one all clients would share a rate limit")
	}
	ports := map[string]string{}
	for _, p := range container.Ports {
		ports[p.Name] = strconv.Itoa(p.Port)
	}
	for name, addr := range map[string]string{"http": c.HTTP.Addr, "admin": c.Admin.Addr} {
		t.Run(name, func(t *testing.T) {
			if _, port, _ := net.SplitHostPort(addr); port != ports[name] {
				t.Errorf("the port %s is %s in the manifest and %s in the service", name, ports[name], port)
			}
		})
	}
	i := start(t, nil)
	for name, p := range map[string]probe{"startup": container.StartupProbe, "readiness": container.ReadinessProbe, "liveness": container.LivenessProbe} {
		t.Run(name, func(t *testing.T) {
			if p.HTTPGet.Port != "admin" {
				t.Errorf("the %s probe asks the port %s", name, p.HTTPGet.Port)
			}
			wantStatus(t, i.probe(t, p.HTTPGet.Path), http.StatusOK)
		})
	}
}

// TestManifestVariables looks for every setting that a manifest names in the service's configuration.
func TestManifestVariables(t *testing.T) {
	t.Parallel()
	testlog.ReadsOutside()
	variable := regexp.MustCompile(`\bORDERS_[A-Z_]+`)
	var seen int
	err := filepath.WalkDir(k8s, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, name := range variable.FindAllString(string(text), -1) {
			seen++
			// Not every value here is one: it is about the name.
			if _, err := (config.Source{Environ: []string{name + "=1"}}).Load(); err != nil && strings.Contains(err.Error(), "unknown setting") {
				t.Errorf("%s: %v", path, err)
			}
		}
		return nil
	})
	if err != nil || seen == 0 {
		t.Fatalf("%d variables, %v", seen, err)
	}
}

// TestManifestConfig compares the file that running pods reload with what can be reloaded.
func TestManifestConfig(t *testing.T) {
	t.Parallel()
	testlog.ReadsOutside()
	text, err := os.ReadFile(filepath.Join(k8s, "base", "orders.conf"))
	if err != nil {
		t.Fatal(err)
	}
	var help strings.Builder
	if err := config.Help(&help); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		key, _, ok := strings.Cut(line, ":")
		if strings.HasPrefix(line, "#") || !ok {
			continue
		}
		_, setting, _ := strings.Cut(help.String(), "  --"+key+",")
		if setting, _, _ = strings.Cut(setting, "  --"); !strings.Contains(setting, "can be reloaded") {
			t.Errorf("%s takes a restart: set it by a variable in deployment.yaml, so that a change is a rollout", key)
		}
	}
}
