package resolver

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Web reads files over HTTP: those of `include:remote`, and GitLab's templates. It keeps a copy of each for when the network is
// not there. Proxies are those of HTTPS_PROXY and the like.
type Web struct {
	None
	// Cache is the folder with the copies; none are kept if it is empty.
	Cache string
	// Offline uses only the copies.
	Offline bool
	// Instance is the URL of the GitLab instance that is asked for templates, as in "https://gitlab.com"; none if empty.
	Instance string
	// Source is the URL that the name of a template is appended to if the instance's API does not list it; that of GitLab's own
	// repository if empty.
	Source string
	// Header is added to requests to the instance: PRIVATE-TOKEN or JOB-TOKEN.
	Header http.Header
	// Client is [http.DefaultClient] if nil.
	Client *http.Client
	// Warn is called when a copy is used because the network is unavailable.
	Warn func(message string)
}

const (
	maxRemoteSize = 1 << 20
	remoteTimeout = 30 * time.Second
	// templateSource has the templates of GitLab's newest release and those that the API does not list.
	templateSource = "https://gitlab.com/gitlab-org/gitlab/-/raw/master/lib/gitlab/ci/templates/"
	templateSuffix = ".gitlab-ci.yml"
)

var errScheme = errors.New("only http and https are supported")

// Remote implements [pipeline.Resolver].
func (w Web) Remote(ctx context.Context, address string) ([]byte, error) {
	return w.get(ctx, address, nil)
}

// Template implements [pipeline.Resolver]: it asks the instance's API, then GitLab's repository, whose templates are not all in
// the API.
func (w Web) Template(ctx context.Context, name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, missing("template", name)
	}
	if w.Instance != "" {
		key := url.PathEscape(strings.TrimSuffix(name, templateSuffix))
		data, err := w.get(ctx, strings.TrimSuffix(w.Instance, "/")+"/api/v4/templates/gitlab_ci_ymls/"+key, w.Header)
		if err == nil {
			var template struct{ Content string }
			if err := json.Unmarshal(data, &template); err == nil && template.Content != "" {
				return []byte(template.Content), nil
			}
		}
	}
	source := w.Source
	if source == "" {
		source = templateSource
	}
	return w.get(ctx, source+(&url.URL{Path: name}).EscapedPath(), nil)
}

// get reads a URL, or the copy of it.
func (w Web) get(ctx context.Context, address string, header http.Header) ([]byte, error) {
	sum := sha256.Sum256([]byte(address))
	copied := filepath.Join(w.Cache, hex.EncodeToString(sum[:]))
	if w.Offline {
		if content, err := os.ReadFile(copied); err == nil && w.Cache != "" {
			return content, nil
		}
		return nil, missing("file", address)
	}
	content, err := w.fetch(ctx, address, header)
	switch {
	case err == nil && w.Cache != "":
		if err := os.MkdirAll(w.Cache, 0o700); err != nil {
			return nil, err
		}
		return content, os.WriteFile(copied, content, 0o600)
	case err == nil, errors.Is(err, fs.ErrNotExist), w.Cache == "":
		return content, err
	}
	kept, readErr := os.ReadFile(copied)
	if readErr != nil {
		return nil, err
	}
	if w.Warn != nil {
		w.Warn(fmt.Sprintf("%s could not be refreshed, so the copy of an earlier run is used: %v", address, err))
	}
	return kept, nil
}

func (w Web) fetch(ctx context.Context, address string, header http.Header) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return nil, errScheme
	}
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	for key, values := range header {
		request.Header[key] = values
	}
	client := w.Client
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		var operation *net.OpError
		if errors.As(err, &operation) {
			return nil, fmt.Errorf("%s cannot be reached", u.Host)
		}
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	switch {
	case response.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s has no such file: %w", u.Host, fs.ErrNotExist)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s", u.Host, response.Status)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxRemoteSize+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxRemoteSize {
		return nil, fmt.Errorf("more than %d bytes", maxRemoteSize)
	}
	return content, nil
}
