package auth

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	jwksTimeout = 3 * time.Second
	jwksBytes   = 1 << 20
	jwksFresh   = time.Hour        // after which the keys are read again
	jwksPause   = 30 * time.Second // between attempts, so that tokens with made-up keys cause no flood
	leeway      = 30 * time.Second // for clocks that differ
)

// Tokens finds the client of a JWT (RFC 7519) by the issuer's published keys (RFC 7517). Signatures are asymmetric only:
// a published key can never serve as a secret.
type Tokens struct {
	url, issuer, audience string
	client                *http.Client
	now                   func() time.Time

	mu      sync.Mutex // also held while the keys are read: one request at a time
	keys    []jwk
	read    time.Time // when the keys were read
	attempt time.Time // when that was tried last
}

// NewTokens accepts tokens of the issuer for the audience, signed with a key that is published at url.
func NewTokens(url, issuer, audience string, now func() time.Time) *Tokens {
	return &Tokens{url: url, issuer: issuer, audience: audience, now: now, client: &http.Client{Timeout: jwksTimeout}}
}

// claims are the parts of a token that matter here (RFC 7519, 4.1). Scopes come as `scope` (RFC 8693) or `scp`.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  oneOrAll `json:"aud"`
	Expiry    float64  `json:"exp"`
	NotBefore float64  `json:"nbf"`
	Scope     string   `json:"scope"`
	Scp       []string `json:"scp"`
}

// oneOrAll is a list, or its only member.
type oneOrAll []string

// UnmarshalJSON implements [json.Unmarshaler].
func (o *oneOrAll) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*o = oneOrAll{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(o))
}

// Find returns the client that the token names, [ErrWrong] or [ErrUnavailable].
func (t *Tokens) Find(ctx context.Context, raw string) (Client, error) {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return Client{}, ErrWrong
	}
	var header struct {
		Alg, Kid string
		Crit     []string
	}
	var signature base64URL
	// What is critical must be understood (RFC 7515, 4.1.11), and nothing is, here.
	if decode(parts[0], &header) != nil || signature.UnmarshalText([]byte(parts[2])) != nil || header.Crit != nil {
		return Client{}, ErrWrong
	}
	key, err := t.key(ctx, header.Kid)
	if err != nil {
		return Client{}, err
	}
	verify, ok := key.verify[header.Alg] // the key decides which algorithms there are, never the token alone
	if !ok || !verify([]byte(raw[:len(parts[0])+1+len(parts[1])]), signature) {
		return Client{}, ErrWrong
	}
	var c claims
	if decode(parts[1], &c) != nil || !t.accepts(c) {
		return Client{}, ErrWrong
	}
	return Client{Name: c.Subject, Scopes: append(strings.Fields(c.Scope), c.Scp...)}, nil
}

func (t *Tokens) accepts(c claims) bool {
	now := float64(t.now().Unix())
	return c.Issuer == t.issuer && slices.Contains(c.Audience, t.audience) && c.Subject != "" &&
		now < c.Expiry+leeway.Seconds() && now >= c.NotBefore-leeway.Seconds()
}

// decode reads a part of a token: JSON in base64url.
func decode(part string, into any) error {
	var b base64URL
	if err := b.UnmarshalText([]byte(part)); err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// key returns the published key with the id; without an id the only one.
func (t *Tokens) key(ctx context.Context, id string) (*jwk, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	key := find(t.keys, id)
	if (key == nil || now.Sub(t.read) > jwksFresh) && now.Sub(t.attempt) >= jwksPause {
		t.attempt = now
		keys, err := t.fetch(ctx)
		switch {
		case err == nil:
			t.keys, t.read = keys, now
			key = find(keys, id)
		case key == nil:
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		} // otherwise the issuer is away: the known key serves on
	}
	if key == nil {
		return nil, ErrWrong
	}
	return key, nil
}

func find(keys []jwk, id string) *jwk {
	if id == "" && len(keys) == 1 {
		return &keys[0]
	}
	i := slices.IndexFunc(keys, func(k jwk) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	return &keys[i]
}

func (t *Tokens) fetch(ctx context.Context) (keys []jwk, err error) {
	// The answer serves others, too: it must not end because this client has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jwksTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.url, nil)
	if err != nil {
		return keys, err
	}
	response, err := t.client.Do(request)
	if err != nil {
		return keys, err
	}
	defer response.Body.Close() //nolint:errcheck // only read
	if response.StatusCode != http.StatusOK {
		return keys, fmt.Errorf("%s answers %s", t.url, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, jwksBytes))
	if err != nil {
		return keys, err
	}
	if keys, err = parseKeys(body); err != nil {
		return nil, fmt.Errorf("%s: %w", t.url, err)
	}
	return keys, nil
}

// Close ends idle connections.
func (t *Tokens) Close() { t.client.CloseIdleConnections() }
