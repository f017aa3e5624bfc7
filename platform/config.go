package platform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gitlab.com/slipway-ci/slipway/platform/internal/cluster"
)

// Config are the settings of a platform. They are saved in the state folder, so that `down`, `status` and a later `up`
// use the same platform.
type Config struct {
	// State is the folder with the platform's data; it identifies the platform.
	State string `json:"-"`
	// Cache is the folder of compiled programs.
	Cache string `json:"-"`
	Ports Ports  `json:"ports"`
	// Tenants are the environments that get a database and a namespace.
	Tenants []Tenant `json:"tenants"`
	// Project is the path of the GitLab project: the name of its images in the registry.
	Project string `json:"project"`
	// With names the optional parts.
	With []string `json:"with,omitempty"`
	// Kubeconfig is the path of the user's own cluster's kubeconfig, and Registry the user's own registry; empty means
	// the platform's own.
	Kubeconfig string `json:"-"`
	Registry   string `json:"-"`
}

// Ports are TCP ports of the host's loopback.
type Ports struct {
	Registry     int `json:"registry"`
	Postgres     int `json:"postgres"`
	API          int `json:"api"`
	Ingress      int `json:"ingress"`
	Prometheus   int `json:"prometheus"`
	Alertmanager int `json:"alertmanager"`
	Artifacts    int `json:"artifacts"`
	Traces       int `json:"traces"`
	Traefik      int `json:"traefik"`
}

// A Tenant is one environment of the delivered service.
type Tenant struct {
	// Namespace is the name in the cluster; with _ for - it is the name of the database and its role.
	Namespace string `json:"namespace"`
	// Environment is GitLab's environment that deploys there: the scope of its CI/CD variables.
	Environment string `json:"environment"`
}

// ParseTenant reads NAMESPACE or NAMESPACE=ENVIRONMENT. Without an environment it is what follows the last dash:
// orders-staging is the tenant of staging.
func ParseTenant(text string) (Tenant, error) {
	namespace, environment, ok := strings.Cut(text, "=")
	if !ok {
		environment = namespace[strings.LastIndexByte(namespace, '-')+1:]
	}
	t := Tenant{namespace, environment}
	return t, t.validate()
}

// label is a DNS label (RFC 1123) that starts with a letter and has room for suffixes.
var label = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,48}[a-z0-9])?$`)

func (t Tenant) validate() error {
	if !label.MatchString(t.Namespace) || strings.HasPrefix(t.Namespace, "kube-") {
		return fmt.Errorf("tenant %q: want a namespace of a to z, 0 to 9 and -, at most 50 characters, such as orders-staging", t.Namespace)
	}
	if t.Environment == "" {
		return fmt.Errorf("tenant %q has no environment: write NAMESPACE=ENVIRONMENT", t.Namespace)
	}
	return nil
}

// Database returns the name of the tenant's database and of its role.
func (t Tenant) Database() string { return strings.ReplaceAll(t.Namespace, "-", "_") }

// Host returns the host name of the tenant's service at the ingress. Names under localhost resolve to loopback (RFC 6761).
func (t Tenant) Host() string { return t.Namespace + ".localhost" }

// A Setting is one choice: a flag of `platform up`, an environment variable, and the field that it fills.
type Setting struct {
	Flag, Env, Usage string
	Set              func(*Config, string) error
}

// Settings returns all settings that a flag or an environment variable can set.
func Settings() []Setting {
	port := func(name string, field func(*Ports) *int) func(*Config, string) error {
		return func(c *Config, text string) error {
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 || n > 65535 {
				return fmt.Errorf("%s: %q is not a port (1 to 65535)", name, text)
			}
			*field(&c.Ports) = n
			return nil
		}
	}
	return []Setting{
		{"registry-port", "SLIPWAY_REGISTRY_PORT", "loopback port of the registry", port("registry port", func(p *Ports) *int { return &p.Registry })},
		{"postgres-port", "SLIPWAY_POSTGRES_PORT", "loopback port of PostgreSQL", port("PostgreSQL port", func(p *Ports) *int { return &p.Postgres })},
		{"api-port", "SLIPWAY_API_PORT", "loopback port of the Kubernetes API server", port("API port", func(p *Ports) *int { return &p.API })},
		{"ingress-port", "SLIPWAY_INGRESS_PORT", "loopback port of the ingress", port("ingress port", func(p *Ports) *int { return &p.Ingress })},
		{"prometheus-port", "SLIPWAY_PROMETHEUS_PORT", "loopback port of Prometheus, with monitoring", port("Prometheus port", func(p *Ports) *int { return &p.Prometheus })},
		{"alertmanager-port", "SLIPWAY_ALERTMANAGER_PORT", "loopback port of Alertmanager, with monitoring", port("Alertmanager port", func(p *Ports) *int { return &p.Alertmanager })},
		{"artifacts-port", "SLIPWAY_ARTIFACTS_PORT", "loopback port of Flux's artifacts, with gitops", port("artifacts port", func(p *Ports) *int { return &p.Artifacts })},
		{"traces-port", "SLIPWAY_TRACES_PORT", "loopback port of Jaeger, with tracing", port("traces port", func(p *Ports) *int { return &p.Traces })},
		{"traefik-port", "SLIPWAY_TRAEFIK_PORT", "loopback port of Traefik, with traefik", port("Traefik port", func(p *Ports) *int { return &p.Traefik })},
		{"with", "SLIPWAY_WITH", "optional parts: " + strings.Join(optionalParts, ", ") + "; none for none of them (comma-separated)", func(c *Config, text string) error {
			c.With = nil
			if text == "none" {
				return nil
			}
			for name := range strings.SplitSeq(text, ",") {
				name = strings.TrimSpace(name)
				if !slices.Contains(optionalParts, name) {
					return fmt.Errorf("%q is no optional part; there are %s", name, strings.Join(optionalParts, ", "))
				}
				c.With = append(c.With, name)
			}
			return nil
		}},
		{"tenant", "SLIPWAY_TENANTS", "NAMESPACE[=ENVIRONMENT] that gets a database and a namespace (comma-separated)", func(c *Config, text string) error {
			c.Tenants = nil
			for name := range strings.SplitSeq(text, ",") {
				t, err := ParseTenant(strings.TrimSpace(name))
				if err != nil {
					return err
				}
				c.Tenants = append(c.Tenants, t)
			}
			return nil
		}},
		{"project", "SLIPWAY_PROJECT", "GitLab path of the project: the name of its images", func(c *Config, text string) error {
			c.Project = strings.Trim(text, "/")
			return nil
		}},
	}
}

// Load returns the configuration: flags take precedence over the environment, the settings of the last `up`, and the defaults. The
// flags are by name, only those that were given.
func Load(getenv func(string) string, flags map[string]string) (Config, error) {
	c := Config{
		State:    stateDir(getenv),
		Cache:    cacheDir(getenv),
		Ports:    Ports{Registry: 5050, Postgres: 5433, API: 6443, Ingress: 8080, Prometheus: 9090, Alertmanager: 9093, Artifacts: 9790, Traces: 16686, Traefik: 8000},
		Tenants:  []Tenant{{"orders-staging", "staging"}, {"orders-production", "production"}},
		Project:  "slipway-ci/slipway",
		Registry: getenv("CI_REGISTRY"),
	}
	saved, err := os.ReadFile(c.file())
	if err == nil {
		err = json.Unmarshal(saved, &c)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		return c, fmt.Errorf("read %s: %w; delete it to go back to the defaults", c.file(), err)
	}
	for _, s := range Settings() {
		value, given := flags[s.Flag]
		name := "--" + s.Flag
		if !given {
			value, name = getenv(s.Env), s.Env
		}
		if value == "" {
			continue
		}
		if err := s.Set(&c, value); err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
	}
	// The platform's own kubeconfig or registry in the environment still selects the platform.
	if own := c.ownRegistry(); c.Registry == own {
		c.Registry = ""
	}
	if k := getenv("KUBECONFIG"); k != "" && !strings.HasPrefix(k, c.State+string(filepath.Separator)) {
		c.Kubeconfig = k
	}
	return c, c.validate()
}

func (c Config) validate() error {
	names := map[int]string{}
	for _, p := range c.ports() {
		if other, ok := names[p.number]; ok {
			return fmt.Errorf("%s and %s have the same port %d; %s sets another", other, p.title, p.number, p.setting)
		}
		names[p.number] = p.title
	}
	seen := map[string]bool{}
	for _, t := range c.Tenants {
		if err := t.validate(); err != nil {
			return err
		}
		if seen[t.Namespace] {
			return fmt.Errorf("tenant %s is given twice", t.Namespace)
		}
		seen[t.Namespace] = true
	}
	// A unix socket's path has at most 107 characters (unix(7)), and containerd puts one below the state.
	if len(c.State) > 70 {
		return fmt.Errorf("the state folder %s has a path of %d characters and sockets in it would be too long: set SLIPWAY_STATE to one of at most 70", c.State, len(c.State))
	}
	return nil
}

// A port is a port of the host: the part that listens on it, its description, and the setting that changes it.
type port struct {
	part, title, setting string
	number               int
}

func (c Config) ports() []port {
	ports := []port{
		{"registry", "registry", "SLIPWAY_REGISTRY_PORT", c.Ports.Registry},
		{"postgres", "PostgreSQL", "SLIPWAY_POSTGRES_PORT", c.Ports.Postgres},
		{"gateway", "Kubernetes API", "SLIPWAY_API_PORT", c.Ports.API},
		{"ingress", "ingress", "SLIPWAY_INGRESS_PORT", c.Ports.Ingress},
	}
	if c.has(monitoring) {
		ports = append(ports,
			port{"gateway", "Prometheus", "SLIPWAY_PROMETHEUS_PORT", c.Ports.Prometheus},
			port{"alertmanager", "Alertmanager", "SLIPWAY_ALERTMANAGER_PORT", c.Ports.Alertmanager})
	}
	if c.has(gitops) {
		ports = append(ports, port{cluster.SourceController, "Flux's artifacts", "SLIPWAY_ARTIFACTS_PORT", c.Ports.Artifacts})
	}
	if c.has(tracing) {
		ports = append(ports, port{"gateway", "Jaeger", "SLIPWAY_TRACES_PORT", c.Ports.Traces})
	}
	if c.has(traefik) {
		ports = append(ports, port{"gateway", "Traefik", "SLIPWAY_TRAEFIK_PORT", c.Ports.Traefik})
	}
	return ports
}

// has reports whether an optional part is enabled.
func (c Config) has(part string) bool { return slices.Contains(c.With, part) }

func (c Config) file() string { return filepath.Join(c.State, "config.json") }

func (c Config) ownRegistry() string { return "127.0.0.1:" + strconv.Itoa(c.Ports.Registry) }

// save saves the settings for the next command.
func (c Config) save() error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.file()+".tmp", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(c.file()+".tmp", c.file())
}

func stateDir(getenv func(string) string) string {
	dir := getenv("SLIPWAY_STATE")
	switch {
	case dir != "":
	case os.Getuid() == 0:
		dir = "/var/lib/slipway"
	case getenv("XDG_STATE_HOME") != "":
		dir = filepath.Join(getenv("XDG_STATE_HOME"), "slipway")
	default:
		dir = filepath.Join(getenv("HOME"), ".local", "state", "slipway")
	}
	if abs, err := filepath.Abs(dir); err == nil {
		return abs
	}
	return dir
}

func cacheDir(getenv func(string) string) string {
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "slipway", "platform")
	}
	return filepath.Join(getenv("HOME"), ".cache", "slipway", "platform")
}
