// Package command implements the command line of the service.
package command

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"syscall"

	"gitlab.com/slipway-ci/slipway/service/app"
	"gitlab.com/slipway-ci/slipway/service/config"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// Process is the environment of a command.
type Process struct {
	Args    []string // after the program's name
	Environ []string
	Stdout  io.Writer
	Stderr  io.Writer
	Signals <-chan os.Signal // SIGHUP reloads the configuration, any other signal shuts down, a second one exits immediately
}

const usage = `Usage: orders [command] [settings]

Commands:
  serve        run the service until SIGTERM (default)
  migrate      apply the database migrations and exit
  config       print the effective configuration, secrets masked, and exit
  healthcheck  exit with 0 if the running service is healthy, else with 1
  version      print the version and exit

Settings, by precedence of flag, environment, file (--config, ORDERS_CONFIG) and default; _FILE names a file with the value:
`

// Run runs the command and returns its exit code: 0 for success, 1 for a failure, 2 for invalid settings.
func Run(p Process, build telemetry.Build) int {
	name, args := "serve", p.Args
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	source := config.Source{Args: args, Environ: p.Environ}
	run, ok := map[string]func() error{
		"serve":       func() error { return serve(p, source, build) },
		"migrate":     func() error { return migrate(p, source) },
		"config":      func() error { return printConfig(p, source) },
		"healthcheck": func() error { return healthcheck(source) },
		"version": func() error {
			_, err := fmt.Fprintf(p.Stdout, "orders %s (commit %s, %s)\n", build.Version, build.Commit, build.Go)
			return err
		},
	}[name]
	if !ok {
		run = func() error { return usageError{fmt.Errorf("unknown command %q; see orders --help", name)} }
	}
	err := run()
	var unusable usageError
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(p.Stdout, usage)
		_ = config.Help(p.Stdout)
		return 0
	case errors.As(err, &unusable):
		fmt.Fprintln(p.Stderr, "orders:", err)
		return 2
	case err != nil:
		fmt.Fprintln(p.Stderr, "orders:", err)
		return 1
	}
	return 0
}

// usageError marks invalid settings.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

var errAborted = errors.New("a second signal: exiting immediately")

func serve(p Process, source config.Source, build telemetry.Build) error {
	a, err := app.New(source, build, p.Stdout)
	if err != nil {
		return usageError{err}
	}
	ended, err := startApp(p, a)
	if err != nil {
		return err
	}
	for !ended && err == nil {
		select {
		case s := <-p.Signals:
			if ended = s != syscall.SIGHUP; !ended {
				_ = a.Reload() // it has logged the error and counted it
			}
		case err = <-a.Failed():
		}
	}
	stopped := make(chan error, 1)
	go func() { stopped <- a.Stop(context.Background()) }()
	for {
		select {
		case stopErr := <-stopped:
			return errors.Join(err, stopErr)
		case s := <-p.Signals:
			if s != syscall.SIGHUP {
				return errAborted
			}
		}
	}
}

// startApp starts the instance. ended is true if a signal came too late to abort the start. A SIGHUP during the start reloads the
// configuration afterwards, since the start may have read an older one.
func startApp(p Process, a *app.App) (ended bool, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started := make(chan error, 1)
	go func() { started <- a.Start(ctx) }()
	for reload := false; ; {
		select {
		case err := <-started:
			if err == nil && reload {
				_ = a.Reload() // it has logged the error and counted it
			}
			return false, err
		case s := <-p.Signals:
			if s == syscall.SIGHUP {
				reload = true
				continue
			}
			cancel()
			if err := <-started; err != nil { // Start has undone what it did
				return false, errors.Join(fmt.Errorf("stopped by %v during startup", s), err)
			}
			return true, nil
		}
	}
}

func migrate(p Process, source config.Source) error {
	loaded, err := source.Load()
	if err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-p.Signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	return app.MigrateOnly(ctx, loaded.Config, p.Stdout)
}

func printConfig(p Process, source config.Source) error {
	loaded, err := source.Load()
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return usageError{err}
	}
	return loaded.Print(p.Stdout)
}
