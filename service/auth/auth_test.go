package auth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"gitlab.com/slipway-ci/slipway/service/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

func TestParseKeys(t *testing.T) {
	t.Parallel()
	keys, err := auth.ParseKeys("# our clients\n\nshop  0123456789abcdef  orders:read,orders:write # the shop\n\ttill\tfedcba9876543210\torders:pay\r\n")
	if err != nil || len(keys) != 2 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	c, ok := keys.Find("0123456789abcdef")
	if want := (auth.Client{Name: "shop", Scopes: []string{"orders:read", "orders:write"}}); !ok || cmp.Diff(want, c) != "" {
		t.Errorf("%+v, %v", c, ok)
	}
	for _, key := range []string{"", "0123456789abcde", "0123456789abcdef ", "shop"} {
		if _, ok := keys.Find(key); ok {
			t.Errorf("%q is a key", key)
		}
	}
	const secret = "0123456789abcdeX"
	_, err = auth.ParseKeys("shop short scope\nshop " + secret + "\na " + secret + " x\nb " + secret + " x\n" + strings.Repeat("x", 100_000))
	for _, want := range []string{"line 1: the key of shop must have at least 16", "line 2: want a name", "line 4: b has the key of a"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), secret) {
		t.Errorf("the error contains a key: %v", err)
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add("shop 0123456789abcdef orders:read")
	f.Add("#\n \n a b c")
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := auth.ParseKeys(text)
		if err != nil {
			return
		}
		for _, c := range keys {
			if c.Name == "" || len(c.Scopes) == 0 {
				t.Errorf("%q has the client %+v", text, c)
			}
		}
	})
}

// issuer publishes keys and signs tokens.
type issuer struct {
	*httptest.Server
	keys  jose.JSONWebKeySet
	reads atomic.Int64
	away  atomic.Bool
}

func newIssuer(t *testing.T, keys ...jose.JSONWebKey) *issuer {
	t.Helper()
	i := &issuer{keys: jose.JSONWebKeySet{Keys: keys}}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i.reads.Add(1)
		if i.away.Load() {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		_ = json.NewEncoder(w).Encode(i.keys)
	}))
	t.Cleanup(i.Close)
	return i
}

func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, id string, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, (&jose.SignerOptions{}).WithHeader("kid", id))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func good() map[string]any {
	return map[string]any{"iss": "https://issuer.example", "sub": "ann", "aud": "orders", "exp": now.Add(time.Hour).Unix(), "scope": "orders:read orders:pay"}
}

type keyPair struct {
	private crypto.Signer
	public  jose.JSONWebKey
}

func newKey(t *testing.T, id string, private crypto.Signer) keyPair {
	t.Helper()
	return keyPair{private, jose.JSONWebKey{Key: private.Public(), KeyID: id, Use: "sig"}}
}

func ecKey(t *testing.T, id string) keyPair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newKey(t, id, key)
}

func rsaKey(t *testing.T, id string, bits int) keyPair {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return newKey(t, id, key)
}

func tokensOf(t *testing.T, i *issuer, clock func() time.Time) *auth.Authenticator {
	t.Helper()
	a := auth.New(nil, auth.NewTokens(i.URL, "https://issuer.example", "orders", clock))
	t.Cleanup(a.Close)
	return a
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func TestTokenAlgorithms(t *testing.T) {
	t.Parallel()
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, rs, ed := ecKey(t, "ec"), rsaKey(t, "rsa", 2048), newKey(t, "ed", edKey)
	pinned := rsaKey(t, "pinned", 2048)
	pinned.public.Algorithm = "PS256"
	weak := rsaKey(t, "weak", 1024)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	medium, large := newKey(t, "p384", p384), newKey(t, "p521", p521)
	a := tokensOf(t, newIssuer(t, ec.public, rs.public, ed.public, pinned.public, weak.public, medium.public, large.public), func() time.Time { return now })
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"ES256":                       {sign(t, jose.ES256, ec.private, "ec", good()), nil},
		"RS256":                       {sign(t, jose.RS256, rs.private, "rsa", good()), nil},
		"PS256":                       {sign(t, jose.PS256, rs.private, "rsa", good()), nil},
		"EdDSA":                       {sign(t, jose.EdDSA, ed.private, "ed", good()), nil},
		"a key for another algorithm": {sign(t, jose.RS256, pinned.private, "pinned", good()), auth.ErrWrong},
		"the key's own algorithm":     {sign(t, jose.PS256, pinned.private, "pinned", good()), nil},
		"a key that is too small":     {sign(t, jose.RS256, weak.private, "weak", good()), auth.ErrWrong},
		"ES384":                       {sign(t, jose.ES384, medium.private, "p384", good()), nil},
		"ES512":                       {sign(t, jose.ES512, large.private, "p521", good()), nil},
		"RS384":                       {sign(t, jose.RS384, rs.private, "rsa", good()), nil},
		"RS512":                       {sign(t, jose.RS512, rs.private, "rsa", good()), nil},
		"PS384":                       {sign(t, jose.PS384, rs.private, "rsa", good()), nil},
		"PS512":                       {sign(t, jose.PS512, rs.private, "rsa", good()), nil},
		"another issuer's key":        {sign(t, jose.ES256, ecKey(t, "ec").private, "ec", good()), auth.ErrWrong},
		"an unknown key":              {sign(t, jose.ES256, ec.private, "unknown", good()), auth.ErrWrong},
		"a public key as a secret":    {sign(t, jose.HS256, []byte(strings.Repeat("k", 32)), "rsa", good()), auth.ErrWrong},
		"no signature":                {"eyJhbGciOiJub25lIiwia2lkIjoiZWMifQ.e30.", auth.ErrWrong},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := a.Authenticate(t.Context(), bearer(test.token))
			if !errors.Is(err, test.want) || (test.want == nil) != (err == nil) {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
			if err == nil && (c.Name != "ann" || !slices.Equal(c.Scopes, []string{"orders:read", "orders:pay"})) {
				t.Errorf("%s: %+v", name, c)
			}
		})
	}
	valid := sign(t, jose.ES256, ec.private, "ec", good())
	for i := range len(valid) { // every character counts
		broken := []byte(valid)
		if broken[i] == 'A' {
			broken[i] = 'B'
		} else {
			broken[i] = 'A'
		}
		if _, err := a.Authenticate(t.Context(), bearer(string(broken))); err == nil {
			t.Fatalf("a token with another character at %d is valid", i)
		}
	}
}

func TestTokenClaims(t *testing.T) {
	t.Parallel()
	key := ecKey(t, "k")
	a := tokensOf(t, newIssuer(t, key.public), func() time.Time { return now })
	for name, test := range map[string]struct {
		change func(map[string]any)
		ok     bool
	}{
		"unchanged":                    {func(map[string]any) {}, true},
		"several audiences":            {func(c map[string]any) { c["aud"] = []string{"x", "orders"} }, true},
		"scopes as a list":             {func(c map[string]any) { delete(c, "scope"); c["scp"] = []string{"orders:read", "orders:pay"} }, true},
		"clocks differ":                {func(c map[string]any) { c["exp"] = now.Add(-20 * time.Second).Unix() }, true},
		"expired":                      {func(c map[string]any) { c["exp"] = now.Add(-31 * time.Second).Unix() }, false},
		"without expiry":               {func(c map[string]any) { delete(c, "exp") }, false},
		"expiry is text":               {func(c map[string]any) { c["exp"] = "never" }, false},
		"not valid yet":                {func(c map[string]any) { c["nbf"] = now.Add(time.Minute).Unix() }, false},
		"another issuer":               {func(c map[string]any) { c["iss"] = "https://evil.example" }, false},
		"without issuer":               {func(c map[string]any) { delete(c, "iss") }, false},
		"for another audience":         {func(c map[string]any) { c["aud"] = "billing" }, false},
		"without an audience":          {func(c map[string]any) { delete(c, "aud") }, false},
		"an audience that is a number": {func(c map[string]any) { c["aud"] = 1 }, false},
		"without a subject":            {func(c map[string]any) { delete(c, "sub") }, false},
		"names in other letters": {func(c map[string]any) {
			c["ISS"] = "x"
			c["EXP"] = 0
			c["Scope"] = "orders:write"
			c["SCP"] = "orders:write"
		}, true},
		"scp as text": {func(c map[string]any) { delete(c, "scope"); c["scp"] = "orders:read orders:pay" }, true},
	} {
		t.Run(name, func(t *testing.T) {
			claims := good()
			test.change(claims)
			c, err := a.Authenticate(t.Context(), bearer(sign(t, jose.ES256, key.private, "k", claims)))
			if (err == nil) != test.ok {
				t.Errorf("%s: %v", name, err)
			}
			if want := []string{"orders:read", "orders:pay"}; test.ok && !slices.Equal(c.Scopes, want) {
				t.Errorf("%s: scopes %v, want %v", name, c.Scopes, want)
			}
		})
	}
}

// TestKeyRotation follows the issuer through a change of keys and an outage.
func TestKeyRotation(t *testing.T) {
	t.Parallel()
	first, second := ecKey(t, "1"), ecKey(t, "2")
	i := newIssuer(t, first.public)
	clock := now
	a := tokensOf(t, i, func() time.Time { return clock })
	claims := good()
	claims["exp"] = now.Add(24 * time.Hour).Unix()
	ask := func(k keyPair, want error) {
		t.Helper()
		_, err := a.Authenticate(t.Context(), bearer(sign(t, jose.ES256, k.private, k.public.KeyID, claims)))
		if !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	i.away.Store(true)
	ask(first, auth.ErrUnavailable)
	i.away.Store(false)
	ask(first, auth.ErrUnavailable) // the last attempt was too recent
	clock = clock.Add(30 * time.Second)
	ask(first, nil)
	ask(first, nil)
	if n := i.reads.Load(); n != 2 {
		t.Errorf("the keys were read %d times, want 2", n)
	}
	i.keys.Keys = []jose.JSONWebKey{second.public}
	for range 20 { // made-up keys cause no flood
		ask(ecKey(t, "made-up"), auth.ErrWrong)
	}
	clock = clock.Add(time.Minute)
	ask(second, nil)
	ask(first, auth.ErrWrong)
	i.away.Store(true)
	clock = clock.Add(2 * time.Hour)
	ask(second, nil) // the known key stays valid
	if n := i.reads.Load(); n > 5 {
		t.Errorf("the keys were read %d times", n)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	keys, err := auth.ParseKeys("shop 0123456789abcdef orders:read")
	if err != nil {
		t.Fatal(err)
	}
	a := auth.New(keys, nil)
	basic := httptest.NewRequest(http.MethodGet, "/", nil)
	basic.SetBasicAuth("anybody", "0123456789abcdef")
	for name, test := range map[string]struct {
		header http.Header
		want   error
	}{
		"nothing":              {http.Header{}, auth.ErrMissing},
		"a key":                {http.Header{"X-Api-Key": {"0123456789abcdef"}}, nil},
		"a wrong key":          {http.Header{"X-Api-Key": {"0123456789abcdeX"}}, auth.ErrWrong},
		"a key as a password":  {basic.Header, nil},
		"a broken password":    {http.Header{"Authorization": {"Basic !"}}, auth.ErrWrong},
		"a token without JWKS": {bearer("x"), auth.ErrWrong},
		"an unknown scheme":    {http.Header{"Authorization": {"Digest x"}}, auth.ErrWrong},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := a.Authenticate(t.Context(), test.header); !errors.Is(err, test.want) || (test.want == nil) != (err == nil) {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
		})
	}
}

func TestTokensOfABrokenIssuer(t *testing.T) {
	t.Parallel()
	for _, document := range []string{"", "{", "[]", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`,
		`{"keys":[{"kty":"RSA","n":"!"}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`} {
		t.Run(document, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(document)) }))
			defer server.Close()
			a := auth.New(nil, auth.NewTokens(server.URL, "https://issuer.example", "orders", func() time.Time { return now }))
			defer a.Close()
			token := sign(t, jose.ES256, ecKey(t, "k").private, "k", good())
			if _, err := a.Authenticate(t.Context(), bearer(token)); !errors.Is(err, auth.ErrUnavailable) {
				t.Errorf("%q: %v, want ErrUnavailable", document, err)
			}
		})
	}
}

func FuzzToken(f *testing.F) {
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("a.b.c")
	f.Add("..")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	}))
	f.Cleanup(server.Close)
	a := auth.New(nil, auth.NewTokens(server.URL, "i", "a", time.Now))
	f.Cleanup(a.Close)
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := a.Authenticate(t.Context(), bearer(token)); err == nil {
			t.Errorf("%q is a token", token)
		}
	})
}

// TestHangingIssuer shows that tokens whose key is known never wait for an issuer that hangs.
func TestHangingIssuer(t *testing.T) {
	t.Parallel()
	key := ecKey(t, "k")
	i := newIssuer(t, key.public)
	var hours atomic.Int64
	a := tokensOf(t, i, func() time.Time { return now.Add(time.Duration(hours.Load()) * time.Hour) })
	claims := good()
	claims["exp"] = now.Add(24 * time.Hour).Unix()
	token := sign(t, jose.ES256, key.private, "k", claims)
	if _, err := a.Authenticate(t.Context(), bearer(token)); err != nil {
		t.Fatal(err)
	}
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	i.Config.Handler = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	hours.Store(2) // the keys are old: the next token makes them be read again
	made := sign(t, jose.ES256, ecKey(t, "x").private, "x", claims)
	unknown := make(chan error, 1)
	go func() { _, err := a.Authenticate(t.Context(), bearer(made)); unknown <- err }()
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // waiting would fail
	for range 100 {
		if _, err := a.Authenticate(ctx, bearer(token)); err != nil {
			t.Fatalf("a token with a known key: %v", err)
		}
	}
	if err := <-unknown; !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("a token with an unknown key: %v", err)
	}
}

// TestTokenWithoutKeyID shows that all keys of a set are tried for a token that does not name its key.
func TestTokenWithoutKeyID(t *testing.T) {
	t.Parallel()
	first, second, third := ecKey(t, "1"), rsaKey(t, "2", 2048), ecKey(t, "3")
	a := tokensOf(t, newIssuer(t, first.public, second.public, third.public), func() time.Time { return now })
	for name, test := range map[string]struct {
		algorithm jose.SignatureAlgorithm
		key       keyPair
		want      error
	}{
		"the first key":                 {jose.ES256, first, nil},
		"the second key":                {jose.RS256, second, nil},
		"the third key":                 {jose.ES256, third, nil},
		"a key that is not in this set": {jose.ES256, ecKey(t, "1"), auth.ErrWrong},
	} {
		t.Run(name, func(t *testing.T) {
			signer, err := jose.NewSigner(jose.SigningKey{Algorithm: test.algorithm, Key: test.key.private}, nil)
			if err != nil {
				t.Fatal(err)
			}
			token, err := jwt.Signed(signer).Claims(good()).Serialize()
			if err != nil {
				t.Fatal(err)
			}
			c, err := a.Authenticate(t.Context(), bearer(token))
			if !errors.Is(err, test.want) || (test.want == nil) != (c.Name == "ann") {
				t.Errorf("%+v, %v, want %v", c, err, test.want)
			}
		})
	}
}
