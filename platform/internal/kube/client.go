// Package kube is a small client for the Kubernetes API: plain JSON over HTTP, for the few objects that the platform
// itself handles.
package kube

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Manager is the field manager of everything that the platform applies.
const Manager = "slipway-platform"

// An Object is any Kubernetes object, as in JSON.
type Object = map[string]any

// A Status is an error response of the API server.
type Status struct {
	Code    int    `json:"code"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (s *Status) Error() string {
	return fmt.Sprintf("API server: %d %s: %s", s.Code, s.Reason, s.Message)
}

// NotFound reports whether an error is the API server's 404.
func NotFound(err error) bool {
	var s *Status
	return errors.As(err, &s) && s.Code == http.StatusNotFound
}

// A Client uses one API server as one user.
type Client struct {
	server string
	http   *http.Client
}

// New returns a client of the server ("https://127.0.0.1:6443") that trusts only the authority ca (PEM). The dial function
// may be nil.
func New(server string, ca []byte, user tls.Certificate, dial func(context.Context, string, string) (net.Conn, error)) (*Client, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("the certificate authority is not PEM")
	}
	return &Client{server: server, http: &http.Client{Transport: &http.Transport{
		DialContext:         dial,
		ForceAttemptHTTP2:   true,
		TLSHandshakeTimeout: 5 * time.Second,
		TLSClientConfig:     &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{user}, MinVersion: tls.VersionTLS13},
	}}}, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Get reads an object or a list at an API path, such as /api/v1/nodes/slipway.
func (c *Client) Get(ctx context.Context, path string, into any) error {
	resp, err := c.do(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, ok := into.(*string); ok {
		b, err := io.ReadAll(resp.Body)
		*text = string(b)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// Apply creates the object, or sets the given fields of it (server-side apply).
func (c *Client) Apply(ctx context.Context, path string, o Object) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodPatch, path+"?force=true&fieldManager="+Manager, "application/apply-patch+yaml", body)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Delete removes an object; one that does not exist is not an error.
func (c *Client) Delete(ctx context.Context, path string) error {
	resp, err := c.do(ctx, http.MethodDelete, path, "", nil)
	if NotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Watch reports changes at a list's path after the resource version, until the API server or ctx ends it.
func (c *Client) Watch(ctx context.Context, path, version string, event func(kind string, object json.RawMessage) error) error {
	resp, err := c.do(ctx, http.MethodGet, path+"?watch=1&allowWatchBookmarks=true&resourceVersion="+version, "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := json.NewDecoder(bufio.NewReader(resp.Body))
	for {
		var e struct {
			Type   string          `json:"type"`
			Object json.RawMessage `json:"object"`
		}
		if err := lines.Decode(&e); err != nil {
			return err
		}
		if e.Type == "ERROR" { // usually 410: the version is too old
			var s Status
			if err := json.Unmarshal(e.Object, &s); err != nil {
				return err
			}
			return &s
		}
		if err := event(e.Type, e.Object); err != nil {
			return err
		}
	}
}

func (c *Client) do(ctx context.Context, method, path, kind string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	s := &Status{}
	if json.Unmarshal(text, s) != nil || s.Message == "" {
		s.Message = strings.TrimSpace(string(text))
	}
	s.Code = resp.StatusCode
	if s.Reason == "" {
		s.Reason = http.StatusText(s.Code)
	}
	return nil, s
}
