// Command bench measures what the service adds to net/http: CPU time per request of the whole handler (request id,
// recovery, metrics, access log, limits, deadline) against a bare server that returns the same JSON. Server and client
// are separate processes on a processor each, and the servers take turns in every round, so that a disturbance affects
// all of them; the result is the median of the rounds' ratios. It also measures the program, beside podinfo if that can be
// built: its size, start and memory. It fails if a figure is above its limit.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
)

// The limits of the ratios.
const (
	maxRatio       = 1.8
	maxTracedRatio = 1.8
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string, w io.Writer) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	serve := flags.String("serve", "", "run as the server of this name (the command starts itself)")
	rounds := flags.Int("rounds", 9, "rounds")
	requests := flags.Int("requests", 20_000, "requests per server and round")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *serve != "" {
		return beServer(*serve, flags.Args())
	}
	if err := pin(clientCPU); err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a temporary folder
	orders, err := buildOrders(folder)
	if err != nil {
		return err
	}
	var peer *program
	var others []program
	if podinfo, err := buildPodinfo(folder); err != nil {
		fmt.Fprintf(w, "podinfo is not measured, since it cannot be built here: %v\n\n", err)
	} else {
		peer, others = &podinfo, []program{podinfo}
	}
	return errors.Join(measurePrograms(w, orders, peer, folder, programStarts), compare(w, others, folder, *rounds, *requests))
}

// compare measures the servers, and other programs beside them.
func compare(w io.Writer, others []program, folder string, rounds, requests int) error {
	limits := map[string]float64{"orders": maxRatio, "orders-traced": maxTracedRatio}
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	for _, name := range []string{"bare", "bare-otelhttp", "orders", "orders-traced", "orders-sqlite"} {
		s, err := startServer(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		servers = append(servers, s)
	}
	for _, p := range others {
		s, err := p.startServer(folder)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		servers = append(servers, s)
	}
	for _, s := range servers {
		name := s.name
		if _, err := s.measure(requests); err != nil { // warm up
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	micros, ratios := map[string][]float64{}, map[string][]float64{}
	for range rounds {
		for _, s := range servers {
			perRequest, err := s.measure(requests)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			micros[s.name] = append(micros[s.name], perRequest)
			ratios[s.name] = append(ratios[s.name], perRequest/micros["bare"][len(micros["bare"])-1])
		}
	}
	fmt.Fprintf(w, "%-14s %12s %8s %6s %10s\n", "server", "µs/request", "ratio", "limit", "RSS MiB")
	var failed []string
	for _, s := range servers {
		limit, verdict := "", ""
		if most := limits[s.name]; most > 0 {
			limit = fmt.Sprintf("%.2f", most)
			if median(ratios[s.name]) > most {
				verdict = "  above the limit"
				failed = append(failed, s.name)
			}
		}
		rss, err := s.residentMiB()
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%-14s %12.2f %8.2f %6s %10.1f%s\n", s.name, median(micros[s.name]), median(ratios[s.name]), limit, rss, verdict)
	}
	fmt.Fprintf(w, "CPU time (user and system) of the server, %d rounds of %d requests, %d connections; -traced and -otelhttp record a tenth of the requests,\n"+
		"the first with the service's own server span, the second with otelhttp; orders-sqlite reads the order from a file; podinfo serves GET /api/info.\n",
		rounds, requests, connections)
	if failed != nil {
		return fmt.Errorf("%v: above the limit", failed)
	}
	return nil
}

func median[T cmp.Ordered](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
