// Package delivery proves the deploy stage on the platform, under load: what users notice of a rollout, of a bad version, of a canary,
// and of failures during them. It runs with SLIPWAY_DELIVERY=1 (`make e2e-delivery`); each proof is a separate test, so
// that -run selects it, and the figures of those that ran are printed as a table at the end.
package delivery

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/test/load"
	"gitlab.com/slipway-ci/slipway/test/outside"
)

const (
	staging    = "orders-staging"
	production = "orders-production"
)

// figures are the lines of the table, each with the test that measured it.
var figures struct {
	sync.Mutex
	lines []measurement
}

type measurement struct {
	t               *testing.T
	proof, measured string
}

// figure adds a line to the table.
func figure(t *testing.T, proof, format string, args ...any) {
	t.Helper()
	measured := fmt.Sprintf(format, args...)
	t.Log(measured)
	figures.Lock()
	defer figures.Unlock()
	figures.lines = append(figures.lines, measurement{t, proof, measured})
}

// table prints the figures; a proof that failed has none.
func table() string {
	var b strings.Builder
	b.WriteString("\n| proof | measured |\n|---|---|\n")
	for _, m := range figures.lines {
		if m.t.Failed() {
			m.measured = "FAILED"
		}
		fmt.Fprintf(&b, "| %s | %s |\n", m.proof, m.measured)
	}
	return b.String()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if len(figures.lines) > 0 {
		fmt.Println(table())
	}
	if shared.dir != "" {
		_ = os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// A fixture is a clone of this repository whose configuration is the deploy stage alone; the proofs deploy commits of it.
type fixture struct {
	dir, variables, registry, ingress string
	prometheus, alertmanager, traefik string
}

var shared fixture
var once sync.Once

// setup creates the clone, once for all proofs, and skips a proof without the platform.
func setup(t *testing.T) *fixture {
	t.Helper()
	if os.Getenv("SLIPWAY_DELIVERY") == "" {
		t.Skip("needs a separate platform: make e2e-delivery")
	}
	once.Do(func() {
		dir, err := os.MkdirTemp("", "delivery")
		if err != nil {
			t.Fatal(err)
		}
		shared = fixture{dir: dir, variables: filepath.Join(dir, "variables.yml")}
		environment := outside.Command(t, "", "platform", "env")
		write(t, shared.variables, environment)
		shared.registry, shared.ingress = variable(t, environment, "CI_REGISTRY"), "http://"+variable(t, environment, "INGRESS_ADDRESS")
		shared.prometheus = "http://127.0.0.1:" + os.Getenv("SLIPWAY_PROMETHEUS_PORT")
		shared.alertmanager = "http://127.0.0.1:" + os.Getenv("SLIPWAY_ALERTMANAGER_PORT")
		shared.traefik = "http://127.0.0.1:" + os.Getenv("SLIPWAY_TRAEFIK_PORT")
		repository := outside.Command(t, "", "git", "rev-parse", "--show-toplevel")
		outside.Command(t, "", "git", "clone", "--quiet", repository, shared.clone())
		outside.Command(t, shared.clone(), "git", "checkout", "--quiet", "-B", "main")
		outside.Command(t, shared.clone(), "git", "remote", "remove", "origin")
		shared.configure(t, "")
		// All requests come from one client, and PostgreSQL has 100 connections for all pods together. Delays of a busy machine show in the
		// latencies; they are not failures of the rollout.
		base := shared.read(t, "k8s/base/deployment.yaml")
		shared.write(t, "k8s/base/deployment.yaml", strings.Replace(base, "          env:\n", `          env:
            - {name: ORDERS_RATE_LIMIT, value: "0"}
            - {name: ORDERS_DATABASE_MAX_CONNS, value: "3"}
            - {name: ORDERS_HTTP_TIMEOUT, value: 15s}
`, 1))
		policy := shared.read(t, "k8s/base/networkpolicy.yaml")
		shared.write(t, "k8s/base/networkpolicy.yaml", strings.Replace(policy, "{port: 5433,", "{port: "+os.Getenv("SLIPWAY_POSTGRES_PORT")+",", 1))
		shared.commit(t, "Prepare the proofs")
	})
	if shared.ingress == "" {
		t.Fatal("the fixture could not be created; see the first test that failed")
	}
	return &shared
}

// configure writes the pipeline: the deploy stage with additional inputs.
func (f *fixture) configure(t *testing.T, inputs string) {
	t.Helper()
	f.write(t, ".gitlab-ci.yml", "include:\n  - local: /ci/deploy.yml\n    inputs:\n      app: orders\n      needs: []\n      review_needs: []\n"+inputs)
}

func (f *fixture) clone() string { return filepath.Join(f.dir, "clone") }

func (f *fixture) read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.clone(), path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (f *fixture) write(t *testing.T, path, text string) {
	t.Helper()
	write(t, filepath.Join(f.clone(), path), text)
}

// commit commits everything, also if nothing has changed, and returns the commit.
func (f *fixture) commit(t *testing.T, message string) string {
	t.Helper()
	outside.Command(t, f.clone(), "git", "add", "--all")
	outside.Command(t, f.clone(), "git", "-c", "user.name=Delivery", "-c", "user.email=delivery@example.com", "commit", "--quiet", "--allow-empty", "-m", message)
	return outside.Command(t, f.clone(), "git", "rev-parse", "HEAD")
}

// edit replaces the only occurrence of old in a file, until the proof has ended.
func (f *fixture) edit(t *testing.T, path, old, replacement string) {
	t.Helper()
	text := f.read(t, path)
	if strings.Count(text, old) != 1 {
		t.Fatalf("%s does not have %q once: the proof must follow the code", path, old)
	}
	f.write(t, path, strings.Replace(text, old, replacement, 1))
	t.Cleanup(func() { f.write(t, path, text) })
}

// A version is a deployable version of the service.
type version struct{ commit, repository, digest string }

func (v version) image() string { return v.repository + "@" + v.digest }

// name is the version that the service itself names, besides its commit.
func (v version) name() string { return "proof-" + v.commit[:8] }

// build commits the edits, compiles the service and pushes its image, like the image stage in fewer steps.
func (f *fixture) build(t *testing.T, message string) version {
	t.Helper()
	v := version{commit: f.commit(t, message), repository: f.registry + "/delivery/orders"}
	binary := filepath.Join(t.TempDir(), "orders")
	compile(t, filepath.Join(f.clone(), "service"), "./cmd/orders", binary, "-s -w -X main.version="+v.name()+" -X main.commit="+v.commit)
	v.digest = f.push(t, binary, v.repository+":"+v.commit)
	return v
}

// compile compiles a program without C.
func compile(t *testing.T, module, pkg, binary, flags string) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", binary, pkg)
	c.Dir, c.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// push pushes an image with a program alone and returns its digest.
func (f *fixture) push(t *testing.T, binary, tag string) string {
	t.Helper()
	layer := filepath.Join(t.TempDir(), "layer.tar")
	pack(t, layer, binary)
	f.crane(t, "append", "--insecure", "--oci-empty-base", "--platform", "linux/amd64", "--new_layer", layer, "--new_tag", tag)
	f.crane(t, "mutate", "--insecure", "--entrypoint", "/"+filepath.Base(binary), "--user", "65532:65532", "--workdir", "/data", "--tag", tag, tag)
	return f.crane(t, "digest", "--insecure", tag)
}

func (f *fixture) crane(t *testing.T, args ...string) string {
	t.Helper()
	return outside.Command(t, f.clone(), "go", append([]string{"tool", "-modfile=tools/go.mod", "crane"}, args...)...)
}

// pack writes the layer: the program and its working folder.
func pack(t *testing.T, path, binary string) {
	t.Helper()
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, err := range []error{
		w.WriteHeader(&tar.Header{Name: filepath.Base(binary), Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}),
		func() error { _, err := w.Write(content); return err }(),
		w.WriteHeader(&tar.Header{Name: "data/", Mode: 0o755, Uid: 65532, Gid: 65532, Typeflag: tar.TypeDir}),
		w.Close(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	write(t, path, b.String())
}

// job returns a job of the pipeline for a version, as a separate process.
func (f *fixture) job(ctx context.Context, name string, v version, variables ...string) *exec.Cmd {
	args := []string{"run", name, "--event", "push", "--branch", "main", "--no-input", "--executor", "shell", "--no-sandbox", "--deploy", "--verbose",
		"--variables", f.variables, "--var", "IMAGE_REPOSITORY=" + v.repository, "--var", "IMAGE_DIGEST=" + v.digest}
	for _, variable := range variables {
		args = append(args, "--var", variable)
	}
	c := exec.CommandContext(ctx, "slipway", args...)
	c.Dir = f.clone()
	return c
}

var cleaned sync.Once

// clean removes the record of an interrupted run, whose commits no longer exist.
func clean(t *testing.T) {
	t.Helper()
	for _, namespace := range []string{staging, production} {
		outside.Kubectl(t, "--namespace", namespace, "delete", "configmap,lease,deployment,rollouts.argoproj.io", "--selector", "app.kubernetes.io/name=orders")
		outside.Kubectl(t, "--namespace", namespace, "delete", "configmap,lease", "--selector", "app.kubernetes.io/instance=orders")
	}
}

// checkout puts main of the clone at the version's commit until the returned function is called: builds then contain all earlier
// ones.
func (f *fixture) checkout(t *testing.T, v version) (restore func()) {
	t.Helper()
	move := func(commit string) { outside.Command(t, f.clone(), "git", "checkout", "--quiet", "-B", "main", commit) }
	newest := outside.Command(t, f.clone(), "git", "rev-parse", "HEAD")
	move(v.commit)
	return func() { move(newest) }
}

// deploy runs the staging job on the version's commit and returns its output; it must end as wanted.
func (f *fixture) deploy(t *testing.T, v version, green bool, variables ...string) string {
	t.Helper()
	cleaned.Do(func() { clean(t) })
	defer f.checkout(t, v)()
	out, err := f.job(t.Context(), "deploy-staging", v, variables...).CombinedOutput()
	if (err == nil) != green {
		t.Fatalf("deploy-staging: %v\n%s", err, out)
	}
	return string(out)
}

// setting returns a number that an environment variable can lower for a small or busy machine.
func setting(t *testing.T, name string, standard, least int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least {
		t.Fatalf("%s is %q, want a number from %d", name, text, least)
	}
	return n
}

// under sends requests to staging while work runs.
func (f *fixture) under(t *testing.T, rate int, work func()) load.Report {
	t.Helper()
	return during(t, stream(f.ingress, staging, rate), work)
}

// unnoticed fails the proof if a request failed.
func unnoticed(t *testing.T, seen load.Report) {
	t.Helper()
	if seen.Failed > 0 {
		t.Errorf("users noticed: %s", seen)
	}
}

// during sends requests while the work is done.
func during(t *testing.T, config load.Config, work func()) load.Report {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	report := make(chan load.Report, 1)
	go func() { report <- load.Run(ctx, config) }()
	work()
	stop()
	return <-report
}

// stream is the load of the proofs: requests to the service of a namespace by way of the URL.
func stream(url, namespace string, rate int) load.Config {
	return load.Config{URL: url, Host: namespace + ".localhost", Rate: rate, NewConnections: 10, Timeout: 20 * time.Second, Limit: 2_000_000}
}

// load sends requests to staging until ctx ends.
func (f *fixture) load(ctx context.Context, rate int) load.Report {
	return load.Run(ctx, stream(f.ingress, staging, rate))
}

// rate returns the requests per second for staging: the goal, or half of what this machine serves without a rollout if that is less. Failures of an
// overload would hide those of a rollout. SLIPWAY_DELIVERY_RATE lowers the goal.
func (f *fixture) rate(t *testing.T, goal int) int {
	t.Helper()
	goal = min(goal, setting(t, "SLIPWAY_DELIVERY_RATE", goal, leastRate))
	for rate := goal; rate >= leastRate; rate /= 2 {
		ctx, stop := context.WithTimeout(t.Context(), 8*time.Second)
		seen := f.load(ctx, rate)
		stop()
		t.Logf("without a rollout, %d/s: %s", rate, seen)
		// The stream is slower than configured if the client itself gets too little CPU time.
		if seen.Failed == 0 && seen.P99 < 500*time.Millisecond && seen.Rate > 0.9*float64(rate) {
			if rate < goal {
				return max(rate/2, leastRate)
			}
			return rate
		}
		time.Sleep(2 * time.Second)
	}
	t.Fatalf("this machine does not serve %d requests per second without a rollout: it is too busy for this proof", leastRate)
	return 0
}

// leastRate is the load below which a proof under load is meaningless.
const leastRate = 10

// request makes one request and returns status and body; 0 without a response.
func request(ctx context.Context, method, url, host, body string) (int, string) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	r.Host = host
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

func variable(t *testing.T, text, key string) string {
	t.Helper()
	var all []struct{ Key, Value string }
	if err := yaml.Unmarshal([]byte(text), &all); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.Key == key {
			return v.Value
		}
	}
	t.Fatalf("platform env has no %s", key)
	return ""
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// eventually repeats a check until it succeeds, or fails the proof.
func eventually(t *testing.T, limit time.Duration, what string, check func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !check() {
		if time.Since(start) > limit {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(500 * time.Millisecond)
	}
	return time.Since(start)
}
