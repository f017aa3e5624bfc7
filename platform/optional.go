package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gitlab.com/slipway-ci/slipway/platform/internal/build"
	"gitlab.com/slipway-ci/slipway/platform/internal/cluster"
	"gitlab.com/slipway-ci/slipway/platform/internal/daemon"
	"gitlab.com/slipway-ci/slipway/platform/internal/kube"
	"gitlab.com/slipway-ci/slipway/platform/internal/packages"
)

// The optional parts, as `platform up --with` names them.
const (
	rollouts   = "rollouts"
	monitoring = "monitoring"
	metrics    = "metrics"
	gitops     = "gitops"
	tracing    = "tracing"
	traefik    = "traefik"
	policies   = "policies"
)

var optionalParts = []string{rollouts, monitoring, metrics, gitops, tracing, traefik, policies}

const (
	rolloutsHealth     = "127.0.0.1:18080"
	prometheusPort     = "9090"
	prometheusInside   = cluster.NodeAddress + ":" + prometheusPort
	alertmanagerInside = cluster.NodeAddress + ":9093"
)

// optionalProcesses are the processes of the optional parts, and the part that each belongs to.
var optionalProcesses = map[string]string{"rollouts": rollouts, "targets": monitoring, "prometheus": monitoring, "alertmanager": monitoring, cluster.MetricsServer: metrics,
	cluster.SourceController: gitops, cluster.KustomizeController: gitops, collector: tracing, jaeger: tracing, cluster.Traefik: traefik,
	cluster.Kyverno: policies}

// startOptional starts the enabled optional parts, and stops those that are no longer enabled.
func (p *Platform) startOptional(ctx context.Context, self string, s *steps) error {
	for name, part := range optionalProcesses {
		if _, ok := p.table.Lookup(name); ok && !p.Config.has(part) {
			if err := s.end(name, func() error { return p.table.Stop(name) }); err != nil {
				return err
			}
		}
	}
	var lanes []func() error
	if p.Config.has(rollouts) {
		lanes = append(lanes, func() error { return p.startRollouts(ctx, s) })
	}
	if p.Config.has(monitoring) {
		lanes = append(lanes,
			func() error { return s.do("alertmanager", func() (bool, error) { return p.startAlertmanager(ctx) }) },
			func() error { return s.do("prometheus", func() (bool, error) { return p.startPrometheus(ctx, self) }) })
	}
	if p.Config.has(gitops) {
		lanes = append(lanes, func() error { return p.startGitOps(ctx, s) })
	}
	if p.Config.has(tracing) {
		lanes = append(lanes, func() error { return p.startTracing(ctx, s) })
	}
	if p.Config.has(traefik) {
		lanes = append(lanes, func() error { return p.startTraefik(ctx, s) })
	}
	if p.Config.has(policies) {
		lanes = append(lanes, func() error { return p.startKyverno(ctx, s) })
	} else if err := p.withdraw(ctx, kyvernoValidates, kyvernoMutates); err != nil {
		return err
	}
	if p.Config.has(metrics) {
		lanes = append(lanes, func() error { return p.startMetrics(ctx, s) })
	} else if err := p.withdraw(ctx, metricsAPI); err != nil {
		return err
	}
	return parallel(lanes)
}

// withdraw removes what makes the API server ask a part that is not enabled, also after a `down` in the meantime.
func (p *Platform) withdraw(ctx context.Context, paths ...string) error {
	client, err := p.cluster().Client("admin")
	if err != nil {
		return err
	}
	defer client.Close()
	for _, path := range paths {
		if err := client.Delete(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// plainNamespace returns the namespace of an optional part.
func plainNamespace(name string) located {
	return located{"/api/v1/namespaces/" + name, kube.Object{"apiVersion": "v1", "kind": "Namespace", "metadata": kube.Object{"name": name}}}
}

// startRollouts installs Argo Rollouts. Its controller is a process of the node, like every other part of the cluster.
func (p *Platform) startRollouts(ctx context.Context, s *steps) error {
	dir, err := p.compiled(ctx, s, "rollouts binary", "rollouts", build.Rollouts())
	if err != nil {
		return err
	}
	return s.do("rollouts", func() (bool, error) {
		if err := p.installRollouts(ctx, dir); err != nil {
			return false, err
		}
		c := p.cluster()
		// The addresses of metrics in analyses are names of the cluster.
		resolv := p.path("rollouts", "resolv.conf")
		text := fmt.Sprintf("nameserver %s\nsearch cluster.local\noptions ndots:5\n", cluster.NodeAddress)
		if err := errors.Join(os.MkdirAll(filepath.Dir(resolv), 0o755), os.WriteFile(resolv, []byte(text), 0o644)); err != nil {
			return false, err
		}
		_, health, _ := net.SplitHostPort(rolloutsHealth)
		spec := p.inside(c, daemon.Spec{Name: "rollouts", Path: filepath.Join(dir, "rollouts-controller"), NetNS: c.NetNS(), Resolv: resolv,
			Args:   []string{"--kubeconfig", c.Kubeconfig(cluster.Rollouts), "--leader-elect=false", "--healthzPort", health, "--metricsPort", "18090"},
			Inputs: []string{c.Kubeconfig(cluster.Rollouts)}, Grace: time.Second})
		return p.table.Up(ctx, spec, 60*time.Second, c.Probe("http://"+rolloutsHealth+"/healthz"))
	})
}

// compiled is the step that compiles the programs of an optional part if necessary, and returns their folder. Outside of a clone it returns
// the one that the process was started from.
func (p *Platform) compiled(ctx context.Context, s *steps, step, process string, part build.Part) (dir string, err error) {
	err = s.do(step, func() (changed bool, err error) {
		source, err := build.FindSource()
		if err != nil {
			if r, ok := p.table.Lookup(process); ok && len(r.Command) > 0 {
				dir = filepath.Dir(r.Command[0])
				return false, nil
			}
			return false, err
		}
		dir, changed, err = source.Programs(ctx, part, p.Config.Cache, p.Out)
		return changed, err
	})
	return dir, err
}

// installRollouts applies the kinds and roles of Argo Rollouts. The aggregated roles give those who may edit a namespace its
// rollouts, too.
func (p *Platform) installRollouts(ctx context.Context, dir string) error {
	if err := p.applyManifests(ctx, dir); err != nil {
		return err
	}
	return p.apply(ctx, []located{
		plainNamespace("argo-rollouts"),
		clusterRoleBinding("argo-rollouts", "slipway:rollouts", "argo-rollouts"),
	})
}

// applyManifests applies the manifests of a part's folder, and waits until the API server serves their kinds: controllers end if it does not.
func (p *Platform) applyManifests(ctx context.Context, dir string) error {
	kubectl, kubeconfig, err := p.Kubectl()
	if err != nil {
		return err
	}
	run := func(args ...string) error {
		// #nosec G204 -- our own kubectl and arguments
		out, err := exec.CommandContext(ctx, kubectl, append([]string{"--kubeconfig", kubeconfig}, args...)...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("kubectl %s for the manifests of %s: %w\n%s", args[0], dir, err, out)
		}
		return nil
	}
	if err := run("apply", "--server-side", "--force-conflicts", "--field-manager", kube.Manager, "--filename", filepath.Join(dir, build.Manifests)); err != nil {
		return err
	}
	// A definition that has just been stored has no conditions yet, for which kubectl does not wait.
	for end := time.Now().Add(60 * time.Second); ; {
		err := run("wait", "customresourcedefinitions", "--all", "--for", "condition=established", "--timeout", "30s")
		if err == nil || ctx.Err() != nil || time.Now().After(end) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// startPrometheus runs Debian's Prometheus inside of the cluster's network, and its service discovery. For Argo Rollouts its address is
// prometheus.monitoring.svc:9090.
func (p *Platform) startPrometheus(ctx context.Context, self string) (bool, error) {
	if err := p.provisionMonitoring(ctx); err != nil {
		return false, err
	}
	c := p.cluster()
	discovery := p.inside(c, daemon.Spec{Name: "targets", Path: self, NetNS: c.NetNS(), Args: []string{"serve", "targets", "--cluster", c.Dir, "--logs", p.table.Logs}})
	if _, err := p.table.Up(ctx, discovery, 20*time.Second, c.Probe("http://"+cluster.TargetsAddress)); err != nil {
		return false, err
	}
	config := p.path("monitoring", "prometheus.yml")
	if err := errors.Join(os.MkdirAll(p.path("monitoring", "rules"), 0o755), os.WriteFile(config, []byte(p.prometheusConfig()), 0o644)); err != nil {
		return false, err
	}
	inputs := []string{config}
	rules, err := filepath.Glob(p.path("monitoring", "rules", "*.yml"))
	if err != nil {
		return false, err
	}
	spec := p.inside(c, daemon.Spec{Name: "prometheus", Path: packages.Path("prometheus"), NetNS: c.NetNS(), Inputs: append(inputs, rules...),
		Args: []string{"--config.file", config, "--storage.tsdb.path", p.path("monitoring", "prometheus"), "--storage.tsdb.retention.time", "2d",
			"--web.listen-address", prometheusInside, "--web.enable-lifecycle",
			"--web.external-url", "http://" + loopback(p.Config.Ports.Prometheus)}})
	return p.table.Up(ctx, spec, 60*time.Second, c.Probe("http://"+prometheusInside+"/-/ready"))
}

func (p *Platform) prometheusConfig() string {
	return fmt.Sprintf(`global: {scrape_interval: 5s, evaluation_interval: 5s}
rule_files: [%q]
alerting:
  alertmanagers: [{static_configs: [{targets: [%q]}]}]
scrape_configs:
  - job_name: pods
    http_sd_configs: [{url: "http://%s", refresh_interval: 5s}]
`, p.path("monitoring", "rules", "*.yml"), alertmanagerInside, cluster.TargetsAddress)
}

// provisionMonitoring lets the service discovery read the pods, and gives Prometheus its name in the cluster.
func (p *Platform) provisionMonitoring(ctx context.Context) error {
	port, _ := strconv.Atoi(prometheusPort)
	objects := append(reader{"slipway:prometheus", map[string][]string{"": {"pods"}}}.objects(),
		plainNamespace("monitoring"))
	return p.apply(ctx, append(objects, onNode("monitoring", "prometheus", nodePort{"main", port, port})...))
}

// A nodePort is a port of a Service, and the port of the node's process behind it.
type nodePort struct {
	name         string
	port, target int
}

// onNode returns a Service and its endpoint, a process of the node.
func onNode(namespace, name string, ports ...nodePort) []located {
	meta := func(labels kube.Object) kube.Object {
		return kube.Object{"name": name, "namespace": namespace, "labels": labels}
	}
	var service, endpoint []kube.Object
	for _, p := range ports {
		service = append(service, kube.Object{"name": p.name, "port": p.port, "targetPort": p.target})
		endpoint = append(endpoint, kube.Object{"name": p.name, "port": p.target, "protocol": "TCP"})
	}
	return []located{
		{"/api/v1/namespaces/" + namespace + "/services/" + name, kube.Object{"apiVersion": "v1", "kind": "Service", "metadata": meta(nil),
			"spec": kube.Object{"ports": service}}},
		{"/apis/discovery.k8s.io/v1/namespaces/" + namespace + "/endpointslices/" + name, kube.Object{
			"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta(kube.Object{"kubernetes.io/service-name": name}),
			"addressType": "IPv4", "ports": endpoint, "endpoints": []kube.Object{{"addresses": []string{cluster.NodeAddress}}}}},
	}
}

// startAlertmanager runs Debian's Alertmanager on the host's loopback, so that it reaches receivers there.
func (p *Platform) startAlertmanager(ctx context.Context) (bool, error) {
	config := p.path("monitoring", "alertmanager.yml")
	if _, err := os.Stat(config); errors.Is(err, fs.ErrNotExist) {
		const nobody = "# Yours: platform up restarts Alertmanager when this file has changed.\nroute: {receiver: none}\nreceivers: [{name: none}]\n"
		if err := errors.Join(os.MkdirAll(filepath.Dir(config), 0o755), os.WriteFile(config, []byte(nobody), 0o644)); err != nil {
			return false, err
		}
	}
	address := loopback(p.Config.Ports.Alertmanager)
	spec := daemon.Spec{Name: "alertmanager", Path: packages.Path("prometheus-alertmanager"), Dir: p.Config.State, Inputs: []string{config},
		Args: []string{"--config.file", config, "--storage.path", p.path("monitoring", "alertmanager"),
			"--web.listen-address", address, "--cluster.listen-address="}}
	return p.table.Up(ctx, spec, 30*time.Second, answers("http://"+address+"/-/ready"))
}

// optionalForwards returns the gateway's arguments for the enabled optional parts: to Prometheus, Jaeger and Traefik from the host, and to
// Alertmanager and Flux's artifacts from inside.
func (p *Platform) optionalForwards() []string {
	var args []string
	if p.Config.has(monitoring) {
		args = append(args, "--in", loopback(p.Config.Ports.Prometheus)+"="+prometheusInside,
			"--out", alertmanagerInside+"="+loopback(p.Config.Ports.Alertmanager))
	}
	if p.Config.has(gitops) {
		artifacts := loopback(p.Config.Ports.Artifacts)
		args = append(args, "--out", artifacts+"="+artifacts)
	}
	if p.Config.has(tracing) {
		args = append(args, "--in", loopback(p.Config.Ports.Traces)+"="+jaegerQuery)
	}
	if p.Config.has(traefik) {
		args = append(args, "--in", loopback(p.Config.Ports.Traefik)+"="+traefikInside)
	}
	return args
}

// optionalStatus returns the status of the processes of the enabled optional parts.
func (p *Platform) optionalStatus(ctx context.Context) []PartStatus {
	c := p.cluster()
	var all []PartStatus
	if p.Config.has(rollouts) {
		all = append(all, p.part(ctx, "rollouts", "", c.Probe("http://"+rolloutsHealth+"/healthz")))
	}
	if p.Config.has(metrics) {
		all = append(all, p.part(ctx, cluster.MetricsServer, "", p.metricsServed))
	}
	if p.Config.has(monitoring) {
		address := loopback(p.Config.Ports.Alertmanager)
		all = append(all,
			p.part(ctx, "targets", "", c.Probe("http://"+cluster.TargetsAddress)),
			p.part(ctx, "prometheus", loopback(p.Config.Ports.Prometheus), c.Probe("http://"+prometheusInside+"/-/ready")),
			p.part(ctx, "alertmanager", address, answers("http://"+address+"/-/ready")))
	}
	if p.Config.has(gitops) {
		all = append(all,
			p.part(ctx, cluster.SourceController, loopback(p.Config.Ports.Artifacts), answers("http://"+loopback(p.Config.Ports.Artifacts)+"/")),
			p.part(ctx, cluster.KustomizeController, "", c.Probe(kustomizeReady)))
	}
	if p.Config.has(tracing) {
		all = append(all,
			p.part(ctx, collector, "", c.Probe(collectorReady)),
			p.part(ctx, jaeger, loopback(p.Config.Ports.Traces), c.Probe(jaegerReady)))
	}
	if p.Config.has(traefik) {
		all = append(all, p.part(ctx, cluster.Traefik, loopback(p.Config.Ports.Traefik), c.Probe(traefikReady)))
	}
	if p.Config.has(policies) {
		all = append(all, p.part(ctx, cluster.Kyverno, "", p.kyvernoServes))
	}
	return all
}

// describeOptional returns what `up` prints about them.
func (p *Platform) describeOptional() string {
	var b strings.Builder
	if p.Config.has(monitoring) {
		fmt.Fprintf(&b, "  prometheus  http://%s  rules in %s\n", loopback(p.Config.Ports.Prometheus), p.path("monitoring", "rules"))
		fmt.Fprintf(&b, "  alerts      http://%s  routes in %s\n", loopback(p.Config.Ports.Alertmanager), p.path("monitoring", "alertmanager.yml"))
	}
	if p.Config.has(tracing) {
		fmt.Fprintf(&b, "  traces      http://%s  of what is sent to %s\n", loopback(p.Config.Ports.Traces), collectorName)
	}
	if p.Config.has(traefik) {
		fmt.Fprintf(&b, "  traefik     http://%s  serves the IngressRoutes of the tenants\n", loopback(p.Config.Ports.Traefik))
	}
	return b.String()
}
