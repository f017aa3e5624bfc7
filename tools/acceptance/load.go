package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
)

// limits are the limits of the load; errors and slowdown in percent.
type limits struct {
	rate             int
	duration, p99    time.Duration
	errors, slowdown float64
}

// noise is the median below which a slowdown is ignored.
const noise = 20 * time.Millisecond

// A baseline is the latency of the last good version.
type baseline struct {
	P50, P99 time.Duration
}

// checkLoad sends the safe requests with valid responses, at a constant rate.
func (s *service) checkLoad(ctx context.Context, r *report, l limits, file string) {
	if len(s.working) == 0 {
		r.add("load", 0, errors.New("there is no safe request to send: set the rate to 0, or give a body so that something can be asked for"))
		return
	}
	var targets []vegeta.Target
	for _, path := range s.working {
		header := s.header.Clone()
		if s.host != "" {
			header.Set("Host", s.host)
		}
		targets = append(targets, vegeta.Target{Method: http.MethodGet, URL: s.url + path, Header: header})
	}
	attacker := vegeta.NewAttacker(vegeta.Timeout(10 * time.Second))
	stop := context.AfterFunc(ctx, func() { attacker.Stop() })
	defer stop()
	var m vegeta.Metrics
	for result := range attacker.Attack(vegeta.NewStaticTargeter(targets...), vegeta.ConstantPacer{Freq: l.rate, Per: time.Second}, l.duration, "acceptance") {
		m.Add(result)
	}
	m.Close()
	failed := 100 * (1 - m.Success)
	fmt.Fprintf(r.out, "  %d requests at %.1f/s: %.2f %% failed, p50 %s, p99 %s\n", m.Requests, m.Rate, failed, m.Latencies.P50.Round(100*time.Microsecond), m.Latencies.P99.Round(100*time.Microsecond))
	r.measure(fmt.Sprintf("load: at most %g %% fail", l.errors), func() error {
		if failed > l.errors {
			return fmt.Errorf("%.2f %% failed: %v", failed, m.Errors)
		}
		return nil
	})
	r.measure(fmt.Sprintf("load: p99 below %s", l.p99), func() error {
		if m.Latencies.P99 >= l.p99 {
			return fmt.Errorf("%s", m.Latencies.P99)
		}
		return nil
	})
	if file == "" || l.slowdown == 0 {
		return
	}
	r.measure(fmt.Sprintf("load: median at most %g %% above the last good version's", l.slowdown), func() error {
		return compare(file, baseline{m.Latencies.P50, m.Latencies.P99}, l.slowdown)
	})
	if r.failed() == 0 {
		r.measure("load: keep the baseline", func() error { return keep(file, baseline{m.Latencies.P50, m.Latencies.P99}) })
	}
}

// compare returns an error if the median is too far above that of the file; without the file it compares nothing.
func compare(file string, now baseline, slowdown float64) error {
	text, err := os.ReadFile(file) // #nosec G304 -- the file that the job names
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var before baseline
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if limit := time.Duration(float64(before.P50) * (1 + slowdown/100)); now.P50 > limit && now.P50 > noise {
		return fmt.Errorf("%s, and it was %s", now.P50, before.P50)
	}
	return nil
}

func keep(file string, now baseline) error {
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o750), os.WriteFile(file, text, 0o600))
}
