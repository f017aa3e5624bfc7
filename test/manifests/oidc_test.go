package manifests

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"go.yaml.in/yaml/v4"
)

const oidc = k8s + "/cluster/oidc"

// TestTokensOfJobs gives a real API server the files of k8s/cluster/oidc and asks it, with kubectl and the project's KUBECONFIG, what the
// tokens of jobs may do. The issuer stands in for GitLab: it publishes keys in the same way, and the claims are those that GitLab documents.
func TestTokensOfJobs(t *testing.T) {
	hyperkube(t) // skips before the work
	var issuer issuer
	issuer.start(t)
	s := startAPIServer(t, "--authentication-config", issuer.configuration(t))
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

	good := issuer.token(t, issuer.key, nil)
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
		{"of another project", issuer.key, map[string]any{"project_path": "shop/other"}, "no"},
		{"of another environment", issuer.key, map[string]any{"environment": "staging"}, "no"},
		{"of a project and environment that look like others together", issuer.key, map[string]any{"project_path": "shop", "environment": "orders:production"}, "no"},
		{"of an unprotected branch", issuer.key, map[string]any{"ref_protected": "false"}, "Unauthorized"},
		{"of a job without environment", issuer.key, map[string]any{"environment": nil}, "Unauthorized"},
		{"for another audience", issuer.key, map[string]any{"aud": "https://elsewhere.example.com"}, "Unauthorized"},
		{"of another issuer", issuer.key, map[string]any{"iss": "https://gitlab.example.com"}, "Unauthorized"},
		{"that has expired", issuer.key, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, "Unauthorized"},
		{"signed with another key", other, nil, "Unauthorized"},
	} {
		t.Run("a token "+c.name, func(t *testing.T) {
			out := as(issuer.token(t, c.key, c.claims), patch...)
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

// An issuer publishes the key of its tokens, as OpenID Connect's discovery has it.
type issuer struct {
	key    *ecdsa.PrivateKey
	server *httptest.Server
}

func (i *issuer) start(t *testing.T) {
	t.Helper()
	var err error
	if i.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.server.URL, "jwks_uri": i.server.URL + "/oauth/discovery/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"}, "response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"}})
	})
	routes.HandleFunc("GET /oauth/discovery/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	})
	i.server = httptest.NewTLSServer(routes)
	t.Cleanup(i.server.Close)
}

// token returns a job's token: of shop/orders, a protected branch, and production, with some claims replaced, or removed by nil.
func (i *issuer) token(t *testing.T, key *ecdsa.PrivateKey, replaced map[string]any) string {
	t.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": i.server.URL, "aud": "https://kubernetes.example.com", "sub": "project_path:shop/orders:ref_type:branch:ref:main", "jti": "1",
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Second).Unix(), "exp": now.Add(time.Hour).Unix(),
		"namespace_id": "1", "namespace_path": "shop", "project_id": "2", "project_path": "shop/orders", "user_id": "3", "user_login": "ada", "user_email": "ada@example.com",
		"pipeline_id": "4", "pipeline_source": "push", "job_id": "5", "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true",
		"environment": "production", "environment_protected": "true", "deployment_tier": "production",
	}
	maps.Copy(claims, replaced)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// configuration returns the path of authentication.yaml with the stand-in's address and authority.
func (i *issuer) configuration(t *testing.T) string {
	t.Helper()
	config := readYAML(t, filepath.Join(oidc, "authentication.yaml"))
	entry := config["jwt"].([]any)[0].(map[string]any)["issuer"].(map[string]any)
	entry["url"] = i.server.URL
	entry["certificateAuthority"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.server.Certificate().Raw}))
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
