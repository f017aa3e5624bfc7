// Command acceptance tests a running service from outside: it calls the operations of its OpenAPI contract and validates each answer
// against it, and then sends a short load whose errors and latencies must stay below limits. It is what the stage ci/acceptance.yml runs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		stop()
		os.Exit(1)
	}
}

// options are the command line.
type options struct {
	contract, url, host, bodies, except, junit, baseline string
	limits                                               limits
	header                                               http.Header
}

// run tests the service and returns an error if a check fails.
func run(ctx context.Context, args []string, getenv func(string) string, out io.Writer) error {
	var o options
	flags := flag.NewFlagSet("acceptance", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.contract, "contract", "", "`file` with the OpenAPI contract")
	flags.StringVar(&o.url, "url", "", "the service's address")
	flags.StringVar(&o.host, "host", "", "virtual host to ask for, if it is not that of the address")
	flags.StringVar(&o.bodies, "bodies", "", "`folder` with a JSON body for each operation that may be called with one, as createOrder.json")
	flags.StringVar(&o.except, "except", "", "`operations` that are not called, by operationId or as METHOD /path, separated by commas")
	flags.StringVar(&o.junit, "junit", "", "`file` for the JUnit report")
	flags.StringVar(&o.baseline, "baseline", "", "`file` with the latencies of the last good version; it is replaced when all is well")
	flags.IntVar(&o.limits.rate, "rate", 20, "requests per second of the load; 0 sends none")
	flags.DurationVar(&o.limits.duration, "duration", 20*time.Second, "how long the load lasts")
	flags.Float64Var(&o.limits.errors, "max-errors", 0.1, "percent of the requests that may fail")
	flags.DurationVar(&o.limits.p99, "max-p99", 800*time.Millisecond, "latency that 99 of 100 requests must stay below")
	flags.Float64Var(&o.limits.slowdown, "max-slowdown", 100, "percent by which the median may be above that of the baseline; 0 does not compare")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.contract == "" || o.url == "" {
		return errors.New("--contract and --url are needed: the OpenAPI file, and where the service runs")
	}
	var err error
	// A token belongs in a masked variable, not on a command line.
	if o.header, err = headers(getenv("ACCEPTANCE_HEADERS")); err != nil {
		return err
	}
	s, err := newService(ctx, o)
	if err != nil {
		return err
	}
	r := &report{out: out}
	s.checkContract(ctx, r)
	if o.limits.rate > 0 && r.failed() == 0 {
		s.checkLoad(ctx, r, o.limits, o.baseline)
	}
	if o.junit != "" {
		if err := r.writeJUnit(o.junit); err != nil {
			return err
		}
	}
	if n := r.failed(); n > 0 {
		return fmt.Errorf("%d of %d checks", n, len(r.checks))
	}
	fmt.Fprintf(out, "%d checks passed, %d operations not called\n", len(r.checks)-r.skipped(), r.skipped())
	return ctx.Err()
}

// headers reads one `Name: value` per line.
func headers(text string) (http.Header, error) {
	h := http.Header{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, errors.New("ACCEPTANCE_HEADERS: want one Name: value per line")
		}
		h.Add(name, strings.TrimSpace(value))
	}
	return h, nil
}
