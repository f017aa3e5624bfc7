// Command bench measures what the service adds to net/http: CPU time per request of the whole handler (request id,
// recovery, metrics, access record, limits, time limit) against a bare server that returns the same JSON. Server and client
// are separate processes on a processor each, and the servers take turns in every round, so that what disturbs one
// disturbs the others; the result is the median of the rounds' ratios. It also measures the program: its size, how soon it
// answers, the memory that it holds. It fails when something is above its limit.
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
	serve := flags.String("serve", "", "be the server of this name (for the command itself)")
	rounds := flags.Int("rounds", 9, "rounds")
	requests := flags.Int("requests", 20_000, "requests per server and round")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *serve != "" {
		return beServer(*serve)
	}
	if err := pin(clientCPU); err != nil {
		return err
	}
	return errors.Join(measureProgram(w), compare(w, *rounds, *requests))
}

func compare(w io.Writer, rounds, requests int) error {
	limits := map[string]float64{"orders": maxRatio, "orders-traced": maxTracedRatio}
	names := []string{"bare", "orders", "orders-traced", "orders-sqlite"}
	servers := make([]*server, len(names))
	for i, name := range names {
		s, err := startServer(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		defer s.stop()
		servers[i] = s
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
	fmt.Fprintf(w, "CPU time (user and system) of the server, %d rounds of %d requests, %d connections; orders-sqlite reads the order from a file, for comparison.\n",
		rounds, requests, connections)
	if failed != nil {
		return fmt.Errorf("%v: above the limit", failed)
	}
	return nil
}

func median[T cmp.Ordered](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
