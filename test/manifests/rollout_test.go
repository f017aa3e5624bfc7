package manifests

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestManifestsRolloutLock runs concurrent processes of `slipway rollout` with a real API server. There are no controllers: a Deployment never
// rolls out, so a process that got the lock keeps it.
func TestManifestsRolloutLock(t *testing.T) {
	s := startAPIServer(t)
	slipway := buildSlipway(t)
	s.namespace(t, "lock")
	dir := t.TempDir()
	git := func(args ...string) string {
		t.Helper()
		c := exec.Command("git", append([]string{"-c", "user.name=A", "-c", "user.email=a@example.com"}, args...)...) // #nosec G204 -- our own arguments
		c.Dir = dir
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "--quiet")
	git("commit", "--quiet", "--allow-empty", "-m", "Older")
	older := git("rev-parse", "HEAD")
	git("commit", "--quiet", "--allow-empty", "-m", "Newer")
	newer := git("rev-parse", "HEAD")
	manifest := filepath.Join(dir, "manifests.yaml")
	write(t, manifest, string(bytes.ReplaceAll(render(t, s, filepath.Join(k8s, "base")), []byte("image: orders"), []byte("image: registry.example.com/orders@sha256:0"))))
	deploy := func(by, commit string) *process {
		t.Helper()
		return startRollout(t, slipway, dir, s.kubeconfig, "apply", "--name", "orders", "--namespace", "lock", "--filename", manifest,
			"--image", "registry.example.com/orders@sha256:0", "--commit", commit, "--by", by, "--newer")
	}

	first := deploy("job-a", newer)
	first.says(t, "waiting for the controller")
	second := deploy("job-b", newer)
	if code := second.exit(); code != 1 {
		t.Errorf("the second ends with %d, want 1", code)
	}
	second.says(t, "Another job deploys orders to lock at this moment: job-a")
	second.says(t, "nothing has been touched")
	if out, err := s.kubectl(t, nil, "--namespace", "lock", "get", "configmaps", "--selector", "slipway.dev/releases=orders", "--output", "name"); err != nil || strings.Count(out, "\n") != 1 {
		t.Errorf("%v, want one release on record, got %s", err, out)
	}

	// A killed job does not release the lock; the next one waits until the lease has expired.
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	third := deploy("job-c", newer)
	third.says(t, "The job that held the lock is gone: job-a")
	third.says(t, "Rolling out release 2 of orders")
	third.says(t, "waiting for the controller")
	// A job that ends after a signal releases the lock.
	if err := third.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	third.exit()
	third.says(t, "interrupted while release 2 was rolled out")

	if out, err := s.kubectl(t, nil, "--namespace", "lock", "label", "--overwrite", "configmap/orders-release-2", "slipway.dev/state=good"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	git("checkout", "--quiet", older)
	fourth := deploy("job-d", older)
	if code := fourth.exit(); code != 1 {
		t.Errorf("an older commit ends with %d, want 1", code)
	}
	fourth.says(t, "does not contain commit "+newer[:8]+", which release 2 of lock runs (job-c); nothing has been touched")
}

// testRemove deploys a review environment as the deployer, which may do what k8s/cluster/rbac allows, and removes it.
func testRemove(t *testing.T, s *apiServer) {
	const namespace, name = "orders-review", "orders-review-mr-7" // the namespace has the role since the overlays
	s.namespace(t, namespace)
	s.apply(t, render(t, s, filepath.Join(k8s, "cluster", "rbac")), "--namespace", namespace)
	dir := kustomization(t, namespace, "gateway-api", "postgres", "monitoring")
	file := filepath.Join(dir, "kustomization.yaml")
	text, err := os.ReadFile(file) // #nosec G304 -- written above
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, string(text)+"nameSuffix: -review-mr-7\nlabels: [{pairs: {app.kubernetes.io/instance: "+name+"}, includeSelectors: true, includeTemplates: true}]\n")
	manifest := filepath.Join(t.TempDir(), "manifests.yaml")
	write(t, manifest, string(render(t, s, dir)))
	config := readYAML(t, s.kubeconfig)
	config["users"].([]any)[0].(map[string]any)["user"].(map[string]any)["as"] = "system:serviceaccount:" + namespace + ":deployer"
	kubeconfig := writeYAML(t, config)
	slipway := buildSlipway(t)

	deploy := startRollout(t, slipway, t.TempDir(), kubeconfig, "apply", "--name", name, "--namespace", namespace, "--filename", manifest,
		"--image", "registry.example.com/orders@sha256:0", "--commit", "0", "--by", "job-a")
	deploy.says(t, "waiting for the controller") // there is none
	_ = deploy.cmd.Process.Signal(os.Interrupt)
	deploy.exit()
	if out, err := s.kubectl(t, nil, "get", "--filename", manifest); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	remove := startRollout(t, slipway, t.TempDir(), kubeconfig, "remove", "--name", name, "--namespace", namespace, "--by", "job-b")
	if code := remove.exit(); code != 0 {
		t.Errorf("removal ends with %d:\n%s", code, remove)
	}
	for _, args := range [][]string{{"--filename", manifest}, {"--namespace", namespace, "configmaps", "--selector", "slipway.dev/releases=" + name}, {"--namespace", namespace, "lease/" + name + "-deploy"}} {
		if out, err := s.kubectl(t, nil, append([]string{"get", "--ignore-not-found", "--output", "name"}, args...)...); err != nil || out != "" {
			t.Errorf("still there: %v %s", err, out)
		}
	}
}

// buildSlipway returns the path of the command.
func buildSlipway(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "slipway")
	build := exec.Command("go", "build", "-o", path, "./cmd/slipway") // #nosec G204 -- our own arguments
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// startRollout starts `slipway rollout` in a folder; kubectl is that of PATH.
func startRollout(t *testing.T, slipway, dir, kubeconfig string, args ...string) *process {
	t.Helper()
	c := exec.Command(slipway, append([]string{"rollout"}, args...)...) // #nosec G204 -- built by the test
	c.Dir, c.Env = dir, append(os.Environ(), "KUBECONFIG="+kubeconfig)
	p := &process{cmd: c}
	c.Stdout, c.Stderr = p, p
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return p
}

// A process writes into memory.
type process struct {
	cmd  *exec.Cmd
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// says waits until the output contains a text.
func (p *process) says(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(p.String(), text); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the output does not contain %q:\n%s", text, p)
		}
	}
}

func (p *process) exit() int {
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}
