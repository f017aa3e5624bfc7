package platform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func environment(values map[string]string) func(string) string {
	return func(key string) string { return values[key] }
}

func TestLoad(t *testing.T) {
	t.Parallel()
	defaults := Ports{Registry: 5050, Postgres: 5433, API: 6443, Ingress: 8080, Prometheus: 9090, Alertmanager: 9093, Artifacts: 9790, Traces: 16686, Traefik: 8000}
	tenants := []Tenant{{"orders-staging", "staging"}, {"orders-production", "production"}}
	for _, test := range []struct {
		name  string
		env   map[string]string
		flags map[string]string
		saved string
		want  func(*Config)
	}{
		{name: "defaults", want: func(*Config) {}},
		{name: "environment", env: map[string]string{"SLIPWAY_API_PORT": "7000", "SLIPWAY_TENANTS": "shop-qa, shop=live"},
			want: func(c *Config) { c.Ports.API, c.Tenants = 7000, []Tenant{{"shop-qa", "qa"}, {"shop", "live"}} }},
		{name: "flag before environment", env: map[string]string{"SLIPWAY_API_PORT": "7000"}, flags: map[string]string{"api-port": "7001"},
			want: func(c *Config) { c.Ports.API = 7001 }},
		{name: "environment before saved", env: map[string]string{"SLIPWAY_API_PORT": "7000"}, saved: `{"ports": {"api": 7002, "registry": 7003}}`,
			want: func(c *Config) { c.Ports.API, c.Ports.Registry = 7000, 7003 }},
		{name: "saved tenants replace the defaults", saved: `{"tenants": [{"namespace": "a", "environment": "b"}]}`,
			want: func(c *Config) { c.Tenants = []Tenant{{"a", "b"}} }},
		{name: "optional parts", flags: map[string]string{"with": "rollouts, monitoring"},
			want: func(c *Config) { c.With = []string{"rollouts", "monitoring"} }},
		{name: "no optional parts any more", flags: map[string]string{"with": "none"}, saved: `{"with": ["rollouts"]}`, want: func(*Config) {}},
		{name: "the user's cluster and registry", env: map[string]string{"KUBECONFIG": "/home/me/.kube/config", "CI_REGISTRY": "registry.example.com"},
			want: func(c *Config) { c.Kubeconfig, c.Registry = "/home/me/.kube/config", "registry.example.com" }},
		{name: "the platform's own registry is not the user's", env: map[string]string{"CI_REGISTRY": "127.0.0.1:5050"}, want: func(*Config) {}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			state, err := os.MkdirTemp("", "slipway")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(state) })
			if test.saved != "" {
				if err := os.WriteFile(filepath.Join(state, "config.json"), []byte(test.saved), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			env := map[string]string{"SLIPWAY_STATE": state, "XDG_CACHE_HOME": "/cache"}
			for k, v := range test.env {
				env[k] = v
			}
			got, err := Load(environment(env), test.flags)
			if err != nil {
				t.Fatal(err)
			}
			want := Config{State: state, Cache: "/cache/slipway/platform", Ports: defaults, Tenants: tenants, Project: "slipway-ci/slipway"}
			test.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoadKeepsWhatUpSaved(t *testing.T) {
	t.Parallel()
	state, err := os.MkdirTemp("", "slipway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	env := environment(map[string]string{"SLIPWAY_STATE": state})
	first, err := Load(env, map[string]string{"ingress-port": "9999", "tenant": "shop-qa", "project": "shop/shop"})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.save(); err != nil {
		t.Fatal(err)
	}
	second, err := Load(env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, second); diff != "" {
		t.Errorf("(-first +second):\n%s", diff)
	}
}

func TestLoadOwnKubeconfigIsNotTheUsers(t *testing.T) {
	t.Parallel()
	c, err := Load(environment(map[string]string{"SLIPWAY_STATE": "/s", "KUBECONFIG": "/s/cluster/admin.kubeconfig"}), nil)
	if err != nil || c.Kubeconfig != "" {
		t.Errorf("%q %v", c.Kubeconfig, err)
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"a word for a port", map[string]string{"SLIPWAY_API_PORT": "http"}, `SLIPWAY_API_PORT: API port: "http" is not a port`},
		{"a port that is too high", map[string]string{"SLIPWAY_API_PORT": "65536"}, "not a port"},
		{"one port twice", map[string]string{"SLIPWAY_API_PORT": "5050"}, "registry and Kubernetes API have the same port 5050"},
		{"a tenant in capitals", map[string]string{"SLIPWAY_TENANTS": "Shop"}, "want a namespace"},
		{"a tenant of Kubernetes itself", map[string]string{"SLIPWAY_TENANTS": "kube-system"}, "want a namespace"},
		{"a tenant that would be SQL", map[string]string{"SLIPWAY_TENANTS": "a'b"}, "want a namespace"},
		{"a tenant twice", map[string]string{"SLIPWAY_TENANTS": "a-b,a-b=c"}, "given twice"},
		{"an unknown part", map[string]string{"SLIPWAY_WITH": "mesh"}, `SLIPWAY_WITH: "mesh" is no optional part; there are rollouts, monitoring, metrics`},
		{"no environment", map[string]string{"SLIPWAY_TENANTS": "shop="}, "no environment"},
		{"a long state", map[string]string{"SLIPWAY_STATE": "/" + strings.Repeat("x", 80)}, "SLIPWAY_STATE"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"SLIPWAY_STATE": "/nonexistent"}
			for k, v := range test.env {
				env[k] = v
			}
			_, err := Load(environment(env), nil)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

func TestLoadRefusesDamagedConfig(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(environment(map[string]string{"SLIPWAY_STATE": state}), nil); err == nil || !strings.Contains(err.Error(), "delete it") {
		t.Errorf("%v", err)
	}
}

func TestFreePortsNamesTheHolder(t *testing.T) {
	t.Parallel()
	l, err := listenLoopback()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := Load(environment(map[string]string{"SLIPWAY_STATE": t.TempDir()}), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, c.Ports.Registry = splitPort(t, l)
	err = New(c, os.Stderr).freePorts(t.Context(), false)
	if err == nil || !strings.Contains(err.Error(), "SLIPWAY_REGISTRY_PORT") || !strings.Contains(err.Error(), "platform.test") {
		t.Errorf("%v", err)
	}
}
