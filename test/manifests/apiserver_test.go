package manifests

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

// requireVariable makes a missing Kubernetes a failure instead of a skipped test.
const requireVariable = "SLIPWAY_REQUIRE_KUBERNETES"

// An apiServer is a real kube-apiserver with its etcd, on free ports of loopback. There are no nodes: objects are validated, admitted and
// stored, but nothing runs.
type apiServer struct {
	hyperkube, kubeconfig string
	address               string // host:port
}

// hyperkube returns the platform's program, which kubectl in PATH is a link to (`platform bin`).
func hyperkube(t *testing.T) string {
	t.Helper()
	kubectl, err := exec.LookPath("kubectl")
	if err == nil {
		kubectl, err = filepath.EvalSymlinks(kubectl)
	}
	if err == nil && exec.Command(kubectl, "kube-apiserver", "--version").Run() != nil { // #nosec G204 -- the platform's own program
		err = errors.New("kubectl in PATH is not the platform's")
	}
	if err != nil {
		if os.Getenv(requireVariable) == "1" {
			t.Fatalf("no Kubernetes: %v", err)
		}
		t.Skipf("no Kubernetes (make platform-up; PATH=$(platform bin):$PATH): %v", err)
	}
	return kubectl
}

// startAPIServer starts an API server for the duration of the test, with additional flags.
func startAPIServer(t *testing.T, flags ...string) *apiServer {
	t.Helper()
	s := &apiServer{hyperkube: hyperkube(t), kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
	dir := t.TempDir()
	etcd, peer, api := outside.FreeAddress(t), outside.FreeAddress(t), outside.FreeAddress(t)
	s.address = api
	s.start(t, "etcd", "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level", "error",
		"--listen-client-urls", "http://"+etcd, "--advertise-client-urls", "http://"+etcd,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer, "--initial-cluster", "default=http://"+peer)

	secret := make([]byte, 16)
	_, _ = rand.Read(secret)
	token := hex.EncodeToString(secret)
	write(t, filepath.Join(dir, "tokens.csv"), token+",admin,admin,system:masters\n")
	write(t, filepath.Join(dir, "key.pem"), privateKey(t))
	_, port, _ := net.SplitHostPort(api)
	s.start(t, append([]string{"kube-apiserver", "--etcd-servers", "http://" + etcd, "--bind-address", "127.0.0.1", "--secure-port", port,
		"--cert-dir", dir, "--token-auth-file", filepath.Join(dir, "tokens.csv"), "--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", filepath.Join(dir, "key.pem"),
		"--service-account-signing-key-file", filepath.Join(dir, "key.pem"), "--service-cluster-ip-range", "10.96.0.0/16",
		// There is no controller that would create the default service account.
		"--disable-admission-plugins", "ServiceAccount"}, flags...)...)
	write(t, s.kubeconfig, fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"test",
"clusters":[{"name":"test","cluster":{"server":"https://%s","insecure-skip-tls-verify":true}}],
"users":[{"name":"test","user":{"token":%q}}],"contexts":[{"name":"test","context":{"cluster":"test","user":"test"}}]}`, api, token))
	s.wait(t)
	return s
}

func (s *apiServer) start(t *testing.T, args ...string) {
	t.Helper()
	c := exec.Command(s.hyperkube, args...) // #nosec G204 -- the platform's own program
	log := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(log) // #nosec G304 -- the test's own folder
	if err != nil {
		t.Fatal(err)
	}
	c.Stdout, c.Stderr = f, f
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		_ = f.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log) // #nosec G304 -- as above
			t.Logf("%s:\n%s", args[0], text[max(0, len(text)-2000):])
		}
	})
}

// wait waits until the server is ready, or fails the test.
func (s *apiServer) wait(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		out, err := s.kubectl(t, nil, "get", "--raw", "/readyz")
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the API server is not ready: %v\n%s", err, out)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// kubectl runs a command as the administrator, with an optional standard input, and returns its output.
func (s *apiServer) kubectl(t *testing.T, input []byte, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, s.hyperkube, append([]string{"kubectl", "--kubeconfig", s.kubeconfig}, args...)...) // #nosec G204 -- as above
	c.Stdin = bytes.NewReader(input)
	out, err := c.CombinedOutput()
	return string(out), err
}

// apply applies manifests; unknown fields are errors.
func (s *apiServer) apply(t *testing.T, manifests []byte, args ...string) {
	t.Helper()
	if out, err := s.kubectl(t, manifests, append([]string{"apply", "--server-side", "--validate=strict", "--filename", "-"}, args...)...); err != nil {
		t.Errorf("apply: %v\n%s", err, out)
	}
}

// render returns the manifests of a kustomization.
func render(t *testing.T, s *apiServer, dir string) []byte {
	t.Helper()
	out, err := exec.Command(s.hyperkube, "kubectl", "kustomize", "--load-restrictor", "LoadRestrictionsNone", dir).Output() // #nosec G204 -- as above
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("kustomize %s: %s", dir, exit.Stderr)
		}
		t.Fatal(err)
	}
	return out
}

// moduleDir returns the folder of a Go module, which the go command fetches if necessary.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	c := exec.Command("go", "mod", "download", "-json", module) // #nosec G204 -- the test's own list
	c.Dir = t.TempDir()
	out, err := c.Output()
	var answer struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &answer); jsonErr != nil || answer.Dir == "" {
		t.Fatalf("module %s: %v: %s", module, err, strings.TrimSpace(string(out)))
	}
	return answer.Dir
}

func privateKey(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
