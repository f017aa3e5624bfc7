// Package load sends a constant, bounded stream of requests while something else happens, and counts what failed.
// It measures what users notice of a rollout.
package load

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config configures the stream. All fields except for NewConnections and Acknowledged are required.
type Config struct {
	// URL is the server's address, Host the virtual host of the requests.
	URL, Host string
	// Rate is in requests per second: every second one creates an order, the others read the list.
	Rate int
	// NewConnections is how often a request uses a new connection: 10 is every tenth, 0 never.
	NewConnections int
	// Timeout is the time limit of a request.
	Timeout time.Duration
	// Limit bounds the number of requests.
	Limit int
	// Acknowledged, if not nil, is called with the location of each order that was created.
	Acknowledged func(location string)
}

// Report is the result of the stream.
type Report struct {
	Requests int
	// Rate is the number of requests per second: less than configured if the client got too little CPU time.
	Rate float64
	// Failures has one line for each request without a response or with a status of 400 and up; at most 20 lines are kept.
	Failures []string
	Failed   int
	// P50, P99 and Max are latencies of the requests with a response.
	P50, P99, Max time.Duration
}

func (r Report) String() string {
	s := fmt.Sprintf("%d requests at %.0f/s, %d failed, latency p50 %s p99 %s max %s", r.Requests, r.Rate, r.Failed,
		r.P50.Round(100*time.Microsecond), r.P99.Round(100*time.Microsecond), r.Max.Round(100*time.Microsecond))
	if len(r.Failures) > 0 {
		s += "\n  " + strings.Join(r.Failures, "\n  ")
	}
	return s
}

// Run sends requests at the configured rate until ctx ends or the limit is reached, and waits for their responses.
// A slow server does not slow the stream down: each request starts at its own time.
func Run(ctx context.Context, config Config) Report {
	client := &http.Client{
		Timeout:   config.Timeout,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second},
	}
	defer client.CloseIdleConnections()
	var (
		mu        sync.Mutex
		report    Report
		latencies []time.Duration
		wait      sync.WaitGroup
	)
	tick := time.NewTicker(time.Second / time.Duration(config.Rate))
	defer tick.Stop()
	begin := time.Now()
	for number := range config.Limit {
		if ctx.Err() != nil {
			break
		}
		wait.Go(func() {
			start := time.Now()
			err := send(client, config, number)
			took := time.Since(start)
			mu.Lock()
			defer mu.Unlock()
			report.Requests++
			if err == nil {
				latencies = append(latencies, took)
				return
			}
			report.Failed++
			if len(report.Failures) < 20 {
				report.Failures = append(report.Failures, fmt.Sprintf("request %d at %s: %v", number, start.Format("15:04:05.000"), err))
			}
		})
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	sending := time.Since(begin).Seconds()
	wait.Wait()
	report.Rate = float64(report.Requests) / sending
	if len(latencies) > 0 {
		slices.Sort(latencies)
		report.P50 = latencies[len(latencies)/2]
		report.P99 = latencies[len(latencies)*99/100]
		report.Max = latencies[len(latencies)-1]
	}
	return report
}

// NewOrder is the body of the orders that the stream creates.
const NewOrder = `{"customer":"load","items":[{"sku":"tea","quantity":1,"unit_price":250}],"currency":"EUR"}`

// send makes one request, with a separate context, so that the end of the stream does not cancel it.
func send(client *http.Client, config Config, number int) error {
	method, body := http.MethodGet, ""
	// The pattern 0110 0110: half of the requests, such that each of two alternating backends gets both kinds.
	if (number/2+number)%2 == 1 {
		method, body = http.MethodPost, NewOrder
	}
	request, err := http.NewRequestWithContext(context.Background(), method, config.URL+"/v1/orders", strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Host = config.Host
	request.Close = config.NewConnections > 0 && number%config.NewConnections == 0
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Idempotency-Key", fmt.Sprintf("load-%d-%d", time.Now().UnixNano(), number))
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= 400 {
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 200))
		return fmt.Errorf("%s: %s: %s", method, response.Status, strings.TrimSpace(string(reason)))
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return fmt.Errorf("%s: read the answer: %w", method, err)
	}
	if response.StatusCode == http.StatusCreated && config.Acknowledged != nil {
		config.Acknowledged(response.Header.Get("Location"))
	}
	return nil
}
