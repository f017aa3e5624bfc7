package platform_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/platform"
	"gitlab.com/slipway-ci/slipway/platform/internal/image"
)

// TestMachine takes a whole platform through its life on this machine, beside any other: with a state folder, ports,
// cgroups and a network namespace of its own. It needs root and, the first time, minutes.
func TestMachine(t *testing.T) {
	if os.Getenv("SLIPWAY_PLATFORM_TEST") == "" {
		t.Skip("set SLIPWAY_PLATFORM_TEST=1 to bring up a real registry, PostgreSQL and Kubernetes")
	}
	m := newMachine(t)
	before := m.traces()
	t.Cleanup(func() { m.try("down", "--purge") })

	step := m.steps(t)
	step("up", func(t *testing.T) { m.run(t, "up") })
	step("a second up changes nothing and is quick", func(t *testing.T) {
		pids, start := m.pids(t), time.Now()
		out := m.run(t, "up")
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %s", took)
		}
		if strings.Contains(out, "started") {
			t.Errorf("something was started:\n%s", out)
		}
		if diff := cmp.Diff(pids, m.pids(t)); diff != "" {
			t.Errorf("other processes (-before +after):\n%s", diff)
		}
	})

	v1, v2 := m.push(t, "v1"), m.push(t, "v2")
	step("the registry keeps its tags over a restart", func(t *testing.T) {
		m.kill(t, "registry")
		m.run(t, "up")
		if got := m.digest(t, "v1"); got != v1 {
			t.Errorf("tag v1 is %s, want %s", got, v1)
		}
	})
	step("a pod runs by digest from the registry and answers at the ingress", func(t *testing.T) {
		m.deploy(t, "orders-staging", v1)
		m.eventually(t, "v1 \n", func() string { return m.get("orders-staging.localhost", "/") })
	})
	step("an unknown host is told which hosts there are", func(t *testing.T) {
		code, body := m.request(http.MethodGet, "nowhere.localhost", "/", "")
		if code != http.StatusNotFound || !strings.Contains(body, "orders-staging.localhost") {
			t.Errorf("%d %s", code, body)
		}
	})
	step("pods resolve services and nothing else", func(t *testing.T) {
		m.contains(t, m.get("orders-staging.localhost", "/resolve/app"), "10.96.")
		m.contains(t, m.get("orders-staging.localhost", "/resolve/app.orders-staging.svc.cluster.local"), "10.96.")
		m.contains(t, m.get("orders-staging.localhost", "/resolve/gitlab.com"), "no such host")
	})
	step("pods reach their database, and its password is right", func(t *testing.T) {
		m.contains(t, m.get("orders-staging.localhost", "/database"), "PostgreSQL answers N <nil>")
		m.sql(t, "orders-staging", "orders_staging", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (42)")
	})
	step("a tenant gets into no other's namespace or database", func(t *testing.T) {
		if out, err := m.kubectl("orders-staging", "", "get", "pods", "--namespace=orders-production"); err == nil || !strings.Contains(out, "forbidden") {
			t.Errorf("pods of production: %v %s", err, out)
		}
		if out, err := m.psql(t, "orders-staging", "orders_production", "SELECT 1"); err == nil {
			t.Errorf("database of production: %s", out)
		}
	})
	step("network policies hold, in and out", func(t *testing.T) { m.policies(t) })
	step("the namespace refuses a pod that is not restricted", func(t *testing.T) {
		out, err := m.kubectl("orders-staging", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"bad"},"spec":{"containers":[
			{"name":"bad","image":"`+m.image(v1)+`"}]}}`, "apply", "-f", "-")
		if err == nil || !strings.Contains(out, "PodSecurity") {
			t.Errorf("%v %s", err, out)
		}
	})
	step("a rolling update loses no request", func(t *testing.T) { m.rollUnderLoad(t, v2) })
	for _, part := range []string{"containerd", "kubelet", "kube-apiserver", "etcd", "postgres", "gateway", "ingress", "kube-proxy", "coredns", "network-policy"} {
		step("up heals a killed "+part, func(t *testing.T) {
			m.heals(t, part)
			m.eventually(t, "v2 \n", func() string { return m.get("orders-staging.localhost", "/") })
		})
	}
	step("up heals a part that hangs", func(t *testing.T) {
		r := m.pids(t)["kube-apiserver"]
		if err := syscall.Kill(r, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		m.run(t, "up")
		m.run(t, "status")
	})
	step("up heals after everything was killed, as by a power cut", func(t *testing.T) {
		m.powerCut(t)
		m.run(t, "up")
		m.eventually(t, "v2 \n", func() string { return m.get("orders-staging.localhost", "/") })
	})
	step("a deployment after all that works", func(t *testing.T) {
		m.deploy(t, "orders-staging", v1)
		m.eventually(t, "v1 \n", func() string { return m.get("orders-staging.localhost", "/") })
	})
	step("down leaves nothing, and a second down does not mind", func(t *testing.T) {
		if during := m.traces(); len(during["processes"]) < 10 || len(during["mounts"]) == 0 || len(during["cgroups"]) == 0 || len(during["shim sockets"]) == 0 {
			t.Fatalf("what is to vanish is not even seen: %v", during)
		}
		m.run(t, "down")
		m.gone(t, before)
		m.run(t, "down")
	})
	step("the data survives", func(t *testing.T) {
		m.run(t, "up")
		if got := m.digest(t, "v2"); got != v2 {
			t.Errorf("tag v2 is %s, want %s", got, v2)
		}
		m.contains(t, m.sql(t, "orders-staging", "orders_staging", "SELECT n FROM kept"), "42")
		m.eventually(t, "v1 \n", func() string { return m.get("orders-staging.localhost", "/") })
	})
	step("an interrupted up is taken down completely", func(t *testing.T) {
		m.run(t, "down")
		for _, after := range []time.Duration{300 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second} {
			cmd := m.command("up")
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(after)
			_ = cmd.Process.Signal(os.Interrupt)
			if err := cmd.Wait(); err == nil || !strings.Contains(out.String(), "interrupted") {
				t.Errorf("after %s: %v\n%s", after, err, out.String())
			}
			m.run(t, "down")
			m.gone(t, before)
		}
	})
	step("two ups at once wait for each other", func(t *testing.T) {
		var wait sync.WaitGroup
		for range 2 {
			wait.Go(func() {
				if out, err := m.platform("up"); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
		wait.Wait()
	})
	step("purge leaves no file", func(t *testing.T) {
		m.run(t, "down", "--purge")
		m.gone(t, before)
		if _, err := os.Stat(m.state); !os.IsNotExist(err) {
			t.Errorf("%s is still there", m.state)
		}
	})
}

// TestOptionalParts takes the optional parts through their life: added to a platform that runs, killed, removed, and kept over a down.
func TestOptionalParts(t *testing.T) {
	if os.Getenv("SLIPWAY_PLATFORM_TEST") == "" {
		t.Skip("make test-platform-parts")
	}
	m := newMachine(t)
	before := m.traces()
	t.Cleanup(func() { m.try("down", "--purge") })
	step := m.steps(t)
	parts := []string{"rollouts", "prometheus", "alertmanager", "targets", "metrics-server", "source-controller", "kustomize-controller", "collector", "jaeger", "traefik", "kyverno"}
	running := func(t *testing.T, want bool) {
		t.Helper()
		pids := m.pids(t)
		for _, part := range parts {
			if _, ok := pids[part]; ok != want {
				t.Errorf("%s runs: %v", part, ok)
			}
		}
	}
	const usage = "/apis/metrics.k8s.io/v1beta1/nodes"
	measured := func() string {
		out, _ := m.platform("kubectl", "get", "--raw", usage)
		if strings.Contains(out, `"usage":{"cpu":`) {
			return "measured"
		}
		return out
	}

	step("without a word there are none", func(t *testing.T) {
		m.run(t, "up")
		running(t, false)
	})
	step("they are added to a platform that runs", func(t *testing.T) {
		m.run(t, "up", "--with", "rollouts,monitoring,metrics,gitops,tracing,traefik,policies")
		running(t, true)
		m.run(t, "status")
		m.eventually(t, "measured", measured)
	})
	step("a second up changes nothing", func(t *testing.T) {
		pids := m.pids(t)
		m.run(t, "up")
		if diff := cmp.Diff(pids, m.pids(t)); diff != "" {
			t.Errorf("other processes (-before +after):\n%s", diff)
		}
	})
	for _, part := range parts {
		step("up heals a killed "+part, func(t *testing.T) { m.heals(t, part) })
	}
	step("metrics are measured again", func(t *testing.T) { m.eventually(t, "measured", measured) })
	step("they are kept over a down", func(t *testing.T) {
		m.run(t, "down")
		m.gone(t, before)
		m.run(t, "up")
		running(t, true)
	})
	step("they are removed, after a down, too", func(t *testing.T) {
		m.run(t, "down")
		m.run(t, "up", "--with", "none")
		running(t, false)
		if out, err := m.platform("kubectl", "get", "--raw", usage); err == nil {
			t.Errorf("an API that nobody serves:\n%s", out)
		}
		// The API server must know every kind of object to delete a namespace.
		m.run(t, "kubectl", "create", "namespace", "short")
		m.run(t, "kubectl", "delete", "namespace", "short", "--timeout=60s")
	})
	step("purge leaves no file", func(t *testing.T) {
		m.run(t, "down", "--purge")
		m.gone(t, before)
	})
}

// machine is a platform under test.
type machine struct {
	t                                *testing.T
	binary, state                    string
	registry, postgres, api, ingress int
	prometheus, alertmanager         int
	artifacts, jaeger, traefik       int
	// app is the binary of what is deployed.
	app []byte
	// sockets are those of shims, as far as they were seen.
	sockets []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-platform-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil { // PostgreSQL's user has to get in
		t.Fatal(err)
	}
	m := &machine{t: t, binary: filepath.Join(dir, "platform"), state: filepath.Join(dir, "state"),
		registry: freePort(t), postgres: freePort(t), api: freePort(t), ingress: freePort(t),
		prometheus: freePort(t), alertmanager: freePort(t), artifacts: freePort(t), jaeger: freePort(t), traefik: freePort(t)}
	build(t, m.binary, "./cmd/platform")
	app := filepath.Join(dir, "app")
	build(t, app, "./testdata/app")
	if m.app, err = os.ReadFile(app); err != nil {
		t.Fatal(err)
	}
	return m
}

// steps returns what runs one step of a test, which ends with the first that fails: each stands on those before it.
func (m *machine) steps(t *testing.T) func(name string, f func(t *testing.T)) {
	return func(name string, f func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, f) {
			m.dump(t)
			t.FailNow()
		}
	}
}

func build(t *testing.T, output, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", output, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (m *machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command(m.binary, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "SLIPWAY_STATE=" + m.state,
		"XDG_CACHE_HOME=" + os.Getenv("XDG_CACHE_HOME"), "GOPROXY=" + os.Getenv("GOPROXY"),
		fmt.Sprint("SLIPWAY_REGISTRY_PORT=", m.registry), fmt.Sprint("SLIPWAY_POSTGRES_PORT=", m.postgres),
		fmt.Sprint("SLIPWAY_API_PORT=", m.api), fmt.Sprint("SLIPWAY_INGRESS_PORT=", m.ingress),
		fmt.Sprint("SLIPWAY_PROMETHEUS_PORT=", m.prometheus), fmt.Sprint("SLIPWAY_ALERTMANAGER_PORT=", m.alertmanager),
		fmt.Sprint("SLIPWAY_ARTIFACTS_PORT=", m.artifacts), fmt.Sprint("SLIPWAY_TRACES_PORT=", m.jaeger),
		fmt.Sprint("SLIPWAY_TRAEFIK_PORT=", m.traefik)}
	return cmd
}

func (m *machine) platform(args ...string) (string, error) {
	out, err := m.command(args...).CombinedOutput()
	return string(out), err
}

func (m *machine) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.platform(args...)
	if err != nil {
		t.Fatalf("platform %v: %v\n%s", args, err, out)
	}
	return out
}

func (m *machine) try(args ...string) {
	if out, err := m.platform(args...); err != nil {
		m.t.Logf("platform %v: %v\n%s", args, err, out)
	}
}

func (m *machine) dump(t *testing.T) {
	out, _ := m.platform("kubectl", "get", "pods,events", "--all-namespaces")
	t.Logf("%s", out)
	status, _ := m.platform("status")
	t.Logf("%s", status)
}

func (m *machine) status(t *testing.T) []platform.PartStatus {
	t.Helper()
	cmd := m.command("status", "--json")
	out, _ := cmd.Output() // exit 1 where something is not healthy
	var parts []platform.PartStatus
	if err := json.Unmarshal(out, &parts); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return parts
}

func (m *machine) pids(t *testing.T) map[string]int {
	t.Helper()
	pids := map[string]int{}
	for _, p := range m.status(t) {
		if p.PID != 0 {
			pids[p.Part] = p.PID
		}
	}
	return pids
}

func (m *machine) kill(t *testing.T, part string) {
	t.Helper()
	pid := m.pids(t)[part]
	if pid == 0 {
		t.Fatalf("%s does not run", part)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && m.pids(t)[part] == pid; {
		time.Sleep(20 * time.Millisecond)
	}
}

// heals kills a part, which status must notice and up must mend.
func (m *machine) heals(t *testing.T, part string) {
	t.Helper()
	m.kill(t, part)
	if _, err := m.platform("status"); err == nil {
		t.Error("status does not notice")
	}
	m.run(t, "up")
	m.run(t, "status")
}

// powerCut kills every process of the platform and of its pods, and takes the network namespace away.
func (m *machine) powerCut(t *testing.T) {
	t.Helper()
	for _, pid := range m.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	time.Sleep(300 * time.Millisecond)
	for _, pid := range m.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err := syscall.Unmount(filepath.Join(m.state, "cluster", "netns"), syscall.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
}

// processes are all that belong to this platform: by the marker in their environment, or by a cgroup of its name.
func (m *machine) processes() []int {
	var pids []int
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		cgroups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if bytes.Contains(environ, []byte("SLIPWAY_PLATFORM="+m.state)) || bytes.Contains(line, []byte(m.state)) ||
			len(line) > 0 && podGroup.Match(cgroups) && m.ownGroup(string(cgroups)) {
			pid, _ := strconv.Atoi(filepath.Base(dir))
			if pid != os.Getpid() && len(line) > 0 { // a zombie has no command line
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

var podGroup = regexp.MustCompile(`(?m):/(slipway-[0-9a-f]{8})/`)

func (m *machine) ownGroup(cgroups string) bool {
	config, err := os.ReadFile(filepath.Join(m.state, "cluster", "kubelet.yaml"))
	return err == nil && strings.Contains(string(config), `"/`+podGroup.FindStringSubmatch(cgroups)[1]+`"`)
}

// traces are what a platform could leave behind on a machine, as far as another process would not also make them.
func (m *machine) traces() map[string][]string {
	traces := map[string][]string{}
	for _, pid := range m.processes() {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		traces["processes"] = append(traces["processes"], fmt.Sprint(pid, " ", strings.ReplaceAll(string(line), "\x00", " ")))
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, m.state) {
			traces["mounts"] = append(traces["mounts"], line)
		}
	}
	sum := sha256.Sum256([]byte(m.state))
	name := "slipway-" + hex.EncodeToString(sum[:4])
	traces["cgroups"], _ = filepath.Glob("/sys/fs/cgroup/*/" + name)
	traces["CNI results"], _ = filepath.Glob("/var/lib/cni/results/" + name + "*")
	links, _ := filepath.Glob("/var/log/containers/*")
	for _, link := range links {
		if target, _ := os.Readlink(link); strings.HasPrefix(target, m.state) {
			traces["container logs"] = append(traces["container logs"], link)
		}
	}
	// The shims' sockets lie among those of other platforms; the bundles say which are ours, while there are any.
	notes, _ := filepath.Glob(m.state + "/cluster/containerd/state/io.containerd.runtime.v2.task/*/*/address")
	for _, note := range notes {
		socket, _ := os.ReadFile(note)
		m.sockets = append(m.sockets, strings.TrimPrefix(string(socket), "unix://"))
	}
	for _, socket := range m.sockets {
		if _, err := os.Stat(socket); err == nil {
			traces["shim sockets"] = append(traces["shim sockets"], socket)
		}
	}
	named, _ := filepath.Glob("/run/netns/*")
	traces["named namespaces"] = named
	for _, name := range []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward",
		"net/netfilter/nf_conntrack_max"} {
		value, _ := os.ReadFile("/proc/sys/" + name)
		traces["sysctls"] = append(traces["sysctls"], name+" "+string(value))
	}
	rules, _ := exec.Command("nft", "list", "tables").Output()
	traces["nft"] = strings.Fields(string(rules))
	interfaces, _ := exec.Command("ip", "-brief", "link").Output()
	for line := range strings.Lines(string(interfaces)) {
		traces["links"] = append(traces["links"], strings.Fields(line)[0])
	}
	return traces
}

func (m *machine) gone(t *testing.T, before map[string][]string) {
	t.Helper()
	if diff := cmp.Diff(before, m.traces()); diff != "" {
		t.Errorf("traces on the machine (-before +after):\n%s", diff)
	}
}

func (m *machine) repository() string { return fmt.Sprintf("127.0.0.1:%d/slipway-ci/app", m.registry) }

func (m *machine) image(digest string) string { return m.repository() + "@" + digest }

// push puts an image of the test's application into the registry and gives its digest.
func (m *machine) push(t *testing.T, version string) string {
	t.Helper()
	img := image.New("app", m.app, "APP_VERSION="+version)
	base := fmt.Sprintf("http://127.0.0.1:%d/v2/slipway-ci/app", m.registry)
	for _, blob := range []image.Blob{img.Layer, img.Config} {
		header := m.send(t, http.MethodPost, base+"/blobs/uploads/", "", nil, http.StatusAccepted)
		location, err := url.Parse(header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		query := location.Query()
		query.Set("digest", blob.Digest())
		location.RawQuery = query.Encode()
		m.send(t, http.MethodPut, location.String(), "application/octet-stream", blob.Content, http.StatusCreated)
	}
	m.send(t, http.MethodPut, base+"/manifests/"+version, img.Manifest.Type, img.Manifest.Content, http.StatusCreated)
	return img.Manifest.Digest()
}

func (m *machine) digest(t *testing.T, tag string) string {
	t.Helper()
	base := fmt.Sprintf("http://127.0.0.1:%d/v2/slipway-ci/app", m.registry)
	return m.send(t, http.MethodHead, base+"/manifests/"+tag, "", nil, http.StatusOK).Get("Docker-Content-Digest")
}

func (m *machine) send(t *testing.T, method, address, kind string, body []byte, want int) http.Header {
	t.Helper()
	req, err := http.NewRequest(method, address, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", kind)
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != want {
		t.Fatalf("%s %s: %s %s", method, address, resp.Status, text)
	}
	return resp.Header
}

// kubectl speaks as the tenant's deployer, with the kubeconfig that a job would get.
func (m *machine) kubectl(tenant, stdin string, args ...string) (string, error) {
	env, err := m.command("env").Output()
	if err != nil {
		return "", err
	}
	config := filepath.Join(filepath.Dir(m.state), tenant+".kubeconfig")
	for part := range strings.SplitSeq(string(env), "\n- ") {
		if strings.HasPrefix(part, "key: KUBECONFIG") && strings.Contains(part, `"`+tenant+`"`) {
			text := part[strings.Index(part, "    {"):]
			text = text[:strings.LastIndex(text, "}")+1]
			if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
				return "", err
			}
		}
	}
	cmd := exec.Command(filepath.Join(m.state, "bin", "kubectl"), args...)
	cmd.Env = []string{"KUBECONFIG=" + config, "HOME=" + filepath.Dir(m.state)}
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (m *machine) deploy(t *testing.T, tenant, digest string) {
	t.Helper()
	manifest := fmt.Sprintf(`{"apiVersion": "v1", "kind": "List", "items": [
{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "app"}, "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "app"}},
 "strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
 "template": {"metadata": {"labels": {"app": "app"}}, "spec": {"automountServiceAccountToken": false, "terminationGracePeriodSeconds": 10,
  "securityContext": {"runAsNonRoot": true, "runAsUser": 65535, "seccompProfile": {"type": "RuntimeDefault"}},
  "containers": [{"name": "app", "image": %q, "ports": [{"name": "http", "containerPort": 8080}],
   "env": [{"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "database", "key": "url"}}}],
   "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 1},
   "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]}}}},
{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "app"}, "spec": {"selector": {"app": "app"}, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}},
{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "app"}, "spec": {"ingressClassName": "slipway", "rules": [
 {"host": "%s.localhost", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "app", "port": {"name": "http"}}}}]}}]}}
]}`, m.image(digest), tenant)
	if out, err := m.kubectl(tenant, manifest, "apply", "-f", "-"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := m.kubectl(tenant, "", "rollout", "status", "deployment/app", "--timeout=90s"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// policies closes and opens the ways of the staging pods; the ingress, which comes from the node, is never shut out.
func (m *machine) policies(t *testing.T) {
	const host = "orders-staging.localhost"
	apply := func(name, spec string) {
		manifest := `{"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "` + name + `"}, "spec": ` + spec + `}`
		if out, err := m.kubectl("orders-staging", manifest, "apply", "-f", "-"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	const fetch, database = "/fetch/app.orders-staging.svc.cluster.local.", "/database"
	works := func(path, want string) {
		t.Helper()
		m.eventually(t, want, func() string { return m.get(host, path) })
	}
	refused := func(path string) {
		t.Helper()
		m.eventually(t, "refused", func() string {
			if answer := m.get(host, path); strings.Contains(answer, "no route to host") {
				return "refused"
			} else {
				return answer
			}
		})
	}
	works(fetch, "v1 \n")
	works(database, "PostgreSQL answers N <nil>\n")
	apply("shut", `{"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}`)
	refused(database)
	works("/", "v1 \n")
	apply("out", `{"podSelector": {"matchLabels": {"app": "app"}}, "policyTypes": ["Egress"], "egress": [
		{"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53}]}, {"to": [{"podSelector": {}}], "ports": [{"port": "http"}]}]}`)
	refused(fetch) // the way in is still shut
	refused(database)
	apply("in", `{"podSelector": {}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "app"}}}], "ports": [{"port": "http"}]}]}`)
	works(fetch, "v1 \n")
	refused(database)
	apply("database", fmt.Sprintf(`{"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": %d}]}]}`, m.postgres))
	works(database, "PostgreSQL answers N <nil>\n")
	if out, err := m.kubectl("orders-staging", "", "delete", "networkpolicy", "--all"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// rollUnderLoad updates while several clients read and write without a pause; not one request may fail.
func (m *machine) rollUnderLoad(t *testing.T, digest string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	var sent atomic.Int64
	var mu sync.Mutex
	answers := map[string]int{}
	for i := range 4 {
		wait.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				method, body := http.MethodGet, ""
				if (i+n)%2 == 0 {
					method, body = http.MethodPost, "order"
				}
				code, answer := m.request(method, "orders-staging.localhost", "/", body)
				sent.Add(1)
				mu.Lock()
				answers[fmt.Sprint(code, " ", strings.Fields(answer + " -")[0])]++
				mu.Unlock()
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	m.deploy(t, "orders-staging", digest)
	time.Sleep(2 * time.Second) // the old pods end
	cancel()
	wait.Wait()
	t.Logf("%d requests: %v", sent.Load(), answers)
	for answer := range answers {
		if !slices.Contains([]string{"200 v1", "200 v2"}, answer) {
			t.Errorf("%d requests answered %q", answers[answer], answer)
		}
	}
	if answers["200 v1"] == 0 || answers["200 v2"] == 0 {
		t.Error("the load did not see both versions")
	}
}

var client = &http.Client{Timeout: 5 * time.Second}

func (m *machine) request(method, host, path, body string) (int, string) {
	req, err := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", m.ingress, path), strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	req.Host = host
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

func (m *machine) get(host, path string) string {
	_, body := m.request(http.MethodGet, host, path, "")
	return body
}

func (m *machine) eventually(t *testing.T, want string, get func() string) {
	t.Helper()
	var got string
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got = get(); got == want {
			return
		}
	}
	t.Fatalf("got %q, want %q", got, want)
}

func (m *machine) contains(t *testing.T, text, want string) {
	t.Helper()
	if !strings.Contains(text, want) {
		t.Errorf("%q does not contain %q", text, want)
	}
}

// psql logs in with the URL of the tenant's Secret, from the host, at a database of choice.
func (m *machine) psql(t *testing.T, tenant, database, sql string) (string, error) {
	t.Helper()
	out, err := m.kubectl(tenant, "", "get", "secret", "database", "-o", "go-template={{.data.url | base64decode}}")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	u, err := url.Parse(out)
	if err != nil {
		t.Fatal(err)
	}
	u.Host, u.Path = net.JoinHostPort("127.0.0.1", strconv.Itoa(m.postgres)), "/"+database
	answer, err := exec.Command("psql", u.String(), "-X", "-w", "-t", "-A", "-c", sql).CombinedOutput()
	return string(answer), err
}

func (m *machine) sql(t *testing.T, tenant, database, sql string) string {
	t.Helper()
	out, err := m.psql(t, tenant, database, sql)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}
