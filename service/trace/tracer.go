package trace

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueLength   = 2048
	batchLength   = 256
	batchInterval = 2 * time.Second
	exportTimeout = 5 * time.Second
)

// Options configures a Tracer.
type Options struct {
	Endpoint string  // of the collector, as http://collector:4318
	Ratio    float64 // share of the traces that begin here which are recorded
	Service  string
	Version  string
	Failed   func(error) // told when spans could not be sent
}

// Tracer records spans and sends them. A nil Tracer records nothing.
type Tracer struct {
	options Options
	ratio   float64
	client  *http.Client
	queue   chan Record
	done    chan struct{}
	lost    atomic.Uint64

	mu     sync.RWMutex // guards closed: nothing may be sent to a closed queue
	closed bool
}

// New returns a tracer that sends until it is shut down.
func New(o Options) *Tracer {
	t := &Tracer{options: o, ratio: o.Ratio, client: &http.Client{Timeout: exportTimeout, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute}},
		queue: make(chan Record, queueLength), done: make(chan struct{})}
	go t.run()
	return t
}

// Lost is how many spans were not sent: the queue was full, or the collector refused them.
func (t *Tracer) Lost() uint64 { return t.lost.Load() }

// keep puts a span into the queue; a full queue loses it, since tracing must not make requests wait.
func (t *Tracer) keep(r Record) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if t.closed {
		t.lost.Add(1)
		return
	}
	select {
	case t.queue <- r:
	default:
		t.lost.Add(1)
	}
}

// Shutdown sends what is in the queue and ends the tracer; ctx bounds how long that may take.
func (t *Tracer) Shutdown(ctx context.Context) error {
	t.mu.Lock()
	if !t.closed {
		t.closed = true
		close(t.queue)
	}
	t.mu.Unlock()
	defer t.client.CloseIdleConnections()
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("send the last spans: %w", ctx.Err())
	}
}

func (t *Tracer) run() {
	defer close(t.done)
	ticker := time.NewTicker(batchInterval)
	defer ticker.Stop()
	var batch []Record
	flush := func() {
		if len(batch) == 0 {
			return
		}
		if err := t.export(batch); err != nil {
			t.lost.Add(uint64(len(batch)))
			t.options.Failed(fmt.Errorf("send %d spans: %w", len(batch), err))
		}
		batch = batch[:0]
	}
	for {
		select {
		case r, open := <-t.queue:
			if !open {
				flush()
				return
			}
			if batch = append(batch, r); len(batch) == batchLength {
				flush()
			}
		case <-ticker.C:
			flush()
		}
	}
}

func (t *Tracer) export(batch []Record) error {
	body, err := encode(t.options.Service, t.options.Version, batch)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), exportTimeout)
	defer cancel()
	url := strings.TrimSuffix(t.options.Endpoint, "/") + "/v1/traces"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := t.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // nothing is read
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
