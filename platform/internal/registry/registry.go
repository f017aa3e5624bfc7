// Package registry serves an OCI registry on loopback, with its blobs, manifests and tags in a folder.
package registry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // the driver "filesystem"
)

// Serve serves the folder on the address until ctx ends, then lets requests finish for up to 5 seconds. There is no
// authentication: the address has to be on loopback.
func Serve(ctx context.Context, address, dir string) error {
	if err := onLoopback(address); err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	app := handlers.NewApp(ctx, settings(dir))
	server := &http.Server{Handler: app, ReadHeaderTimeout: 10 * time.Second}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- errors.Join(server.Shutdown(grace), app.Shutdown())
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("registry: %w", err)
	}
	return <-stopped
}

func settings(dir string) *configuration.Configuration {
	c := &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem": {"rootdirectory": dir},
			"delete":     {"enabled": true},
			// An upload that a killed client left is removed after a day.
			"maintenance": {"uploadpurging": map[any]any{"enabled": true, "age": "24h", "interval": "24h", "dryrun": false}},
		},
	}
	c.Log.Level = "info"
	c.Log.AccessLog.Disabled = true
	// Indexes may name platforms that were not pushed, as those that keep an attestation apart do.
	c.Validation.Manifests.Indexes.Platforms = "none"
	return c
}

func onLoopback(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("registry: %s is not a loopback address, and the registry has no authentication", address)
	}
	return nil
}
