package auth

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	jwksTimeout = 3 * time.Second
	jwksBytes   = 1 << 20
	jwksFresh   = time.Hour              // after which the keys are read again
	jwksPause   = 30 * time.Second       // between attempts, so that made-up key ids do not flood the issuer
	jwksWait    = 250 * time.Millisecond // for which a token with an unknown key waits for the issuer if other keys are known
	leeway      = 30 * time.Second       // for clocks that differ
	minRSABits  = 2048                   // RFC 7518, 3.3
)

// algorithms are asymmetric only: a published key can never serve as a secret.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// Tokens authenticates JWTs (RFC 7519) by the issuer's published keys (RFC 7517). go-jose parses and verifies; this type decides
// when keys are fetched: tokens with known keys are verified immediately, also during a fetch.
type Tokens struct {
	url, issuer, audience string
	client                *http.Client
	now                   func() time.Time
	background            sync.WaitGroup
	stop                  context.CancelFunc
	stopped               context.Context // of the reads, which serve more than one request

	mu      sync.Mutex
	keys    []jose.JSONWebKey
	read    time.Time     // when the keys were read
	attempt time.Time     // when that was last tried
	reading chan struct{} // closed when the running attempt ends; nil without one
	err     error         // of the last attempt
}

// NewTokens accepts tokens of the issuer for the audience, signed with a key that is published at url. Call Close when done.
func NewTokens(url, issuer, audience string, now func() time.Time) *Tokens {
	t := &Tokens{url: url, issuer: issuer, audience: audience, now: now, client: &http.Client{Timeout: jwksTimeout}}
	t.stopped, t.stop = context.WithCancel(context.Background())
	return t
}

// scopes come as `scope` (RFC 8693), a text, or as `scp`: a list, or a text as well (Entra ID).
type scopes struct {
	Scope string    `json:"scope"`
	Scp   textOrAll `json:"scp"`
}

type textOrAll []string

// UnmarshalJSON implements [json.Unmarshaler].
func (t *textOrAll) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*t = strings.Fields(text)
		return nil
	}
	return json.Unmarshal(b, (*[]string)(t))
}

// canonical reports whether each part of a token is the canonical encoding of its bytes (RFC 4648, section 3.5). The library also accepts
// encodings with stray trailing bits, so that one token would have several spellings in logs and revocation lists.
func canonical(raw string) bool {
	for part := range strings.SplitSeq(raw, ".") {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return false
		}
	}
	return true
}

// Find returns the client that the token names, [ErrWrong] or [ErrUnavailable].
func (t *Tokens) Find(ctx context.Context, raw string) (Client, error) {
	token, err := jwt.ParseSigned(raw, algorithms)
	if err != nil || len(token.Headers) != 1 || !canonical(raw) {
		return Client{}, ErrWrong
	}
	keys, refreshed := t.known()
	c, known := t.verify(token, keys)
	if !known {
		if keys, err = t.await(ctx, refreshed, len(keys) > 0); err != nil {
			return Client{}, err
		}
		c, _ = t.verify(token, keys)
	}
	if c.Name == "" {
		return Client{}, ErrWrong
	}
	return c, nil
}

// verify returns the client of a token that one of the keys has signed and whose claims are right. known is false if
// a newer set of keys could contain the right one.
func (t *Tokens) verify(token *jwt.JSONWebToken, keys []jose.JSONWebKey) (c Client, known bool) {
	header := token.Headers[0]
	for _, key := range keys {
		if header.KeyID != "" && key.KeyID != header.KeyID || key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		var claims jwt.Claims
		var allowed scopes
		if token.Claims(key.Key, &claims, &allowed) != nil {
			known = known || header.KeyID != ""
			continue
		}
		expected := jwt.Expected{Issuer: t.issuer, AnyAudience: jwt.Audience{t.audience}, Time: t.now()}
		if claims.Expiry == nil || claims.ValidateWithLeeway(expected, leeway) != nil {
			return Client{}, true
		}
		return Client{Name: claims.Subject, Scopes: append(strings.Fields(allowed.Scope), allowed.Scp...)}, true
	}
	return Client{}, known
}

// known returns the fetched keys, and starts to fetch them again if they are old. The channel is closed when the running fetch
// ends.
func (t *Tokens) known() (keys []jose.JSONWebKey, refreshed <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.keys != nil && t.now().Sub(t.read) > jwksFresh {
		t.begin()
	}
	return t.keys, t.reading
}

// await returns the keys after the running fetch, or one that it starts. It waits only briefly if other keys are known
// (served).
func (t *Tokens) await(ctx context.Context, refreshed <-chan struct{}, served bool) ([]jose.JSONWebKey, error) {
	t.mu.Lock()
	if refreshed == nil {
		refreshed = t.begin()
	}
	t.mu.Unlock()
	if refreshed != nil {
		limit := jwksTimeout
		if served {
			limit = jwksWait
		}
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case <-refreshed:
		case <-timer.C:
			return nil, fmt.Errorf("%w: %s does not respond", ErrUnavailable, t.url)
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil && (refreshed != nil || t.keys == nil) {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, t.err)
	}
	return t.keys, nil
}

// begin starts to fetch the keys and returns a channel that is closed when it ends; nil if the last attempt was too recent. t.mu
// is held.
func (t *Tokens) begin() <-chan struct{} {
	if t.reading != nil {
		return t.reading
	}
	if t.now().Sub(t.attempt) < jwksPause || t.stopped.Err() != nil {
		return nil
	}
	t.attempt = t.now()
	done := make(chan struct{})
	t.reading = done
	t.background.Go(func() {
		keys, err := t.fetch(t.stopped)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.err = err; err == nil {
			t.keys, t.read = keys, t.now()
		} // on failure the known keys stay in use
		t.reading = nil
		close(done)
	})
	return done
}

func (t *Tokens) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return nil, err
	}
	response, err := t.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s responds with %s", t.url, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, jwksBytes))
	if err != nil {
		return nil, err
	}
	keys, err := parseKeys(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.url, err)
	}
	return keys, nil
}

// parseKeys reads a set of keys. As RFC 7517 says, keys of unknown types and
// keys that are not for signatures are skipped; so are private, symmetric and small ones.
func parseKeys(document []byte) ([]jose.JSONWebKey, error) {
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, one := range set.Keys {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(one) != nil || !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
			continue
		}
		if public, ok := key.Key.(*rsa.PublicKey); ok && public.N.BitLen() < minRSABits {
			continue
		}
		if key.Algorithm != "" && !slices.Contains(algorithms, jose.SignatureAlgorithm(key.Algorithm)) {
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("no usable signature key")
	}
	return keys, nil
}

// Close aborts a running fetch and closes idle connections.
func (t *Tokens) Close() {
	t.stop()
	t.background.Wait()
	t.client.CloseIdleConnections()
}
