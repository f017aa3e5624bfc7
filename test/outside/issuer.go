package outside

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// An Issuer stands in for GitLab as the issuer of jobs' tokens: it publishes its keys in the same way, as OpenID Connect's discovery has it, and
// its tokens have the claims that GitLab documents.
type Issuer struct {
	Key    *ecdsa.PrivateKey
	Server *httptest.Server
}

// NewIssuer starts an issuer with httptest.NewServer or httptest.NewTLSServer, until the test ends.
func NewIssuer(t *testing.T, start func(http.Handler) *httptest.Server) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &Issuer{Key: key}
	routes := http.NewServeMux()
	routes.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": i.Server.URL, "jwks_uri": i.Server.URL + "/oauth/discovery/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"}, "response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"}})
	})
	routes.HandleFunc("GET /oauth/discovery/keys", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.Key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	})
	i.Server = start(routes)
	t.Cleanup(i.Server.Close)
	return i
}

// Host returns the host of the issuer's URL, with its port.
func (i *Issuer) Host() string {
	_, host, _ := strings.Cut(i.Server.URL, "://")
	return host
}

// Token returns a token for the audience, signed with the key, of a job in shop/orders that deploys a protected branch to production. Some of
// its claims are replaced, or removed by nil.
func (i *Issuer) Token(t *testing.T, key *ecdsa.PrivateKey, audience string, replaced map[string]any) string {
	t.Helper()
	now := time.Now()
	commit := strings.Repeat("a", 40)
	claims := map[string]any{
		"iss": i.Server.URL, "aud": audience, "sub": "project_path:shop/orders:ref_type:branch:ref:main", "jti": "1",
		"iat": now.Unix(), "nbf": now.Add(-5 * time.Second).Unix(), "exp": now.Add(time.Hour).Unix(),
		"namespace_id": "1", "namespace_path": "shop", "project_id": "2", "project_path": "shop/orders", "project_visibility": "private",
		"user_id": "3", "user_login": "ada", "user_email": "ada@example.com", "pipeline_id": "4", "pipeline_source": "push", "job_id": "5",
		"ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "ref_protected": "true", "sha": commit,
		"ci_config_ref_uri": i.Host() + "/shop/orders//.gitlab-ci.yml@refs/heads/main", "ci_config_sha": commit, "runner_id": 6, "runner_environment": "self-hosted",
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
