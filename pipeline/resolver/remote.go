package resolver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"time"
)

// Remote reads the files of `include:remote` over https. Use it only where the configuration may reach the network.
type Remote struct {
	None
	// Client is [http.DefaultClient] with a timeout if nil.
	Client *http.Client
}

const (
	maxRemoteSize = 1 << 20
	remoteTimeout = 30 * time.Second
)

var errScheme = errors.New("only https is read")

// Remote implements [pipeline.Resolver].
func (r Remote) Remote(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" {
		return nil, fmt.Errorf("%s: %w", address, errScheme)
	}
	ctx, cancel := context.WithTimeout(ctx, remoteTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	client := r.Client
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	switch {
	case response.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", address, fs.ErrNotExist)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s: %s", address, response.Status)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxRemoteSize+1))
	if err != nil {
		return nil, err
	}
	if len(content) > maxRemoteSize {
		return nil, fmt.Errorf("%s: more than %d bytes", address, maxRemoteSize)
	}
	return content, nil
}
