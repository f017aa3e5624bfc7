package manifests

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"gitlab.com/slipway-ci/slipway/test/outside"
)

const oidc = k8s + "/cluster/oidc"

// TestTokensOfJobs gives a real API server the files of k8s/cluster/oidc and asks it, with kubectl and the project's KUBECONFIG, what the
// tokens of jobs may do. The issuer stands in for GitLab: it publishes keys in the same way, and the claims are those that GitLab documents.
func TestTokensOfJobs(t *testing.T) {
	hyperkube(t) // skips before the work
	issuer := outside.NewIssuer(t, httptest.NewTLSServer)
	s := startAPIServer(t, "--authentication-config", configuration(t, issuer))
	const namespace = "shop-production"
	s.namespace(t, namespace)
	for _, name := range []string{"rbac", "oidc"} {
		s.apply(t, render(t, s, filepath.Join(k8s, "cluster", name)), "--namespace", namespace)
	}
	kubeconfig := projectKubeconfig(t, s.address)
	// as runs kubectl in a job with this token.
	as := func(token string, args ...string) string {
		c := exec.CommandContext(t.Context(), s.hyperkube, append([]string{"kubectl", "--kubeconfig", kubeconfig, "--namespace", namespace}, args...)...) // #nosec G204 -- the platform's own program
		c.Env = append(os.Environ(), "KUBERNETES_TOKEN="+token)
		out, _ := c.CombinedOutput()
		return strings.TrimSpace(string(out))
	}
	patch := []string{"auth", "can-i", "patch", "deployments"}

	good := token(t, issuer, issuer.Key, nil)
	if out := as(good, "auth", "whoami", "--output", "json"); !strings.Contains(out, `"username": "gitlab:shop/orders:production"`) || !strings.Contains(out, `"gitlab.com/user"`) {
		t.Errorf("the job is\n%s", out)
	}
	if out := as(good, patch...); out != "yes" {
		t.Errorf("the job may patch deployments: %s", out)
	}
	for _, args := range [][]string{{"get", "secrets"}, {"create", "pods/exec"}, {"patch", "deployments", "--namespace", "default"}} {
		if out := as(good, append([]string{"auth", "can-i"}, args...)...); !strings.HasPrefix(out, "no") {
			t.Errorf("the job may %v: %s", args, out)
		}
	}

	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		key    *ecdsa.PrivateKey
		claims map[string]any
		want   string
	}{
		{"of another project", issuer.Key, map[string]any{"project_path": "shop/other"}, "no"},
		{"of another environment", issuer.Key, map[string]any{"environment": "staging"}, "no"},
		{"of a project and environment that look like others together", issuer.Key, map[string]any{"project_path": "shop", "environment": "orders:production"}, "no"},
		{"of an unprotected branch", issuer.Key, map[string]any{"ref_protected": "false"}, "Unauthorized"},
		{"of a job without environment", issuer.Key, map[string]any{"environment": nil}, "Unauthorized"},
		{"for another audience", issuer.Key, map[string]any{"aud": "https://elsewhere.example.com"}, "Unauthorized"},
		{"of another issuer", issuer.Key, map[string]any{"iss": "https://gitlab.example.com"}, "Unauthorized"},
		{"that has expired", issuer.Key, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, "Unauthorized"},
		{"signed with another key", other, nil, "Unauthorized"},
	} {
		t.Run("a token "+c.name, func(t *testing.T) {
			out := as(token(t, issuer, c.key, c.claims), patch...)
			last := out[strings.LastIndexByte(out, '\n')+1:]
			if last != c.want && !strings.HasSuffix(last, "("+c.want+")") {
				t.Errorf("want %s, got\n%s", c.want, out)
			}
		})
	}
	t.Run("no token", func(t *testing.T) {
		if out := as("", patch...); !strings.Contains(out, "KUBERNETES_TOKEN is not set: the job needs it in id_tokens") {
			t.Errorf("got\n%s", out)
		}
	})
}

// token returns a job's token for the API server.
func token(t *testing.T, issuer *outside.Issuer, key *ecdsa.PrivateKey, replaced map[string]any) string {
	t.Helper()
	return issuer.Token(t, key, "https://kubernetes.example.com", replaced)
}

// configuration returns the path of authentication.yaml with the stand-in's address and authority.
func configuration(t *testing.T, issuer *outside.Issuer) string {
	t.Helper()
	config := readYAML(t, filepath.Join(oidc, "authentication.yaml"))
	entry := config["jwt"].([]any)[0].(map[string]any)["issuer"].(map[string]any)
	entry["url"] = issuer.Server.URL
	entry["certificateAuthority"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: issuer.Server.Certificate().Raw}))
	return writeYAML(t, config)
}

// projectKubeconfig returns the path of kubeconfig.yaml with the test's API server.
func projectKubeconfig(t *testing.T, address string) string {
	t.Helper()
	config := readYAML(t, filepath.Join(oidc, "kubeconfig.yaml"))
	cluster := config["clusters"].([]any)[0].(map[string]any)["cluster"].(map[string]any)
	cluster["server"], cluster["insecure-skip-tls-verify"] = "https://"+address, true
	return writeYAML(t, config)
}

func readYAML(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path) // #nosec G304 -- the repository's own file
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := yaml.Unmarshal(text, &object); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return object
}

func writeYAML(t *testing.T, object map[string]any) string {
	t.Helper()
	var text bytes.Buffer
	if err := yaml.NewEncoder(&text).Encode(object); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "file.yaml")
	write(t, path, text.String())
	return path
}
