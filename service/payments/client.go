package payments

import (
	"bytes"
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"gitlab.com/slipway-ci/slipway/service/order"
)

const (
	dialTimeout      = time.Second
	idleConns        = 32
	idleTimeout      = 90 * time.Second
	maxAnswer        = 64 << 10
	firstPause       = 50 * time.Millisecond // before the first repetition; doubles, with jitter
	budgetRatio      = 0.1                   // repetitions per call, in the long run
	budgetReserve    = 10                    // repetitions that are always possible after quiet times
	breakerFailures  = 5                     // in a row, until the provider is left alone
	breakerOpen      = 10 * time.Second
	breakerTrialCall = 1
)

// Options configures a Client.
type Options struct {
	URL     string // where charges are posted
	Token   string // a bearer token, or ""
	Timeout time.Duration
	Retries int
	// Trace is called around every call, with the request before it is sent; nil does nothing.
	Trace func(*http.Request) (end func(status int, err error))
}

// Client charges through a provider's HTTP interface:
//
//	POST {URL}, Idempotency-Key: KEY, {"customer","amount","currency"} -> 200/201 {"id"}, or 402 when declined.
type Client struct {
	options Options
	http    *http.Client
	breaker *gobreaker.CircuitBreaker[string]
	budget  budget
}

// NewClient returns a client; Close it.
func NewClient(o Options) *Client {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout, KeepAlive: idleTimeout / 3}).DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: o.Timeout,
		MaxIdleConns:          idleConns,
		MaxIdleConnsPerHost:   idleConns, // there is one host, so the default of 2 would close connections all the time
		IdleConnTimeout:       idleTimeout,
		ForceAttemptHTTP2:     true,
	}
	return &Client{options: o, http: &http.Client{Transport: transport}, budget: budget{tokens: budgetReserve},
		breaker: gobreaker.NewCircuitBreaker[string](gobreaker.Settings{
			Name: "payments", MaxRequests: breakerTrialCall, Timeout: breakerOpen,
			ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
			// The provider works when it declines, and it is not to blame when our client has gone.
			IsSuccessful: func(err error) bool {
				return err == nil || errors.Is(err, order.ErrDeclined) || errors.Is(err, context.Canceled)
			},
		})}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Charge implements [order.Payments]. It repeats calls that failed, as the key allows, within the budget.
func (c *Client) Charge(ctx context.Context, charge order.Charge) (string, error) {
	c.budget.earn()
	pause := firstPause
	for attempt := 0; ; attempt++ {
		id, err := c.breaker.Execute(func() (string, error) { return c.call(ctx, charge) })
		var temporary *temporaryError
		if err == nil || !errors.As(err, &temporary) || attempt == c.options.Retries || !c.budget.spend() {
			return id, err
		}
		wait := time.NewTimer(pause/2 + rand.N(pause)) // #nosec G404 -- jitter is no secret
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return "", errors.Join(err, ctx.Err())
		}
		pause *= 2
	}
}

// temporaryError is a failure after which another call may succeed.
type temporaryError struct{ error }

func (e *temporaryError) Unwrap() error { return e.error }

func (c *Client) call(ctx context.Context, charge order.Charge) (_ string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	body, err := json.Marshal(struct {
		Customer string `json:"customer"`
		Amount   int64  `json:"amount"`
		Currency string `json:"currency"`
	}{charge.Customer, charge.Amount, charge.Currency})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.options.URL, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", charge.Key)
	if c.options.Token != "" {
		request.Header.Set("Authorization", "Bearer "+c.options.Token)
	}
	status := 0
	if c.options.Trace != nil {
		end := c.options.Trace(request)
		defer func() { end(status, err) }()
	}
	response, err := c.http.Do(request)
	if err != nil {
		return "", &temporaryError{err}
	}
	defer response.Body.Close() //nolint:errcheck // only read
	status = response.StatusCode
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return "", &temporaryError{err}
	case status == http.StatusPaymentRequired:
		return "", order.ErrDeclined
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return "", &temporaryError{fmt.Errorf("the payment provider answers %s", response.Status)}
	case status != http.StatusOK && status != http.StatusCreated:
		return "", fmt.Errorf("the payment provider answers %s", response.Status)
	}
	var accepted struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &accepted); err != nil {
		return "", fmt.Errorf("read the payment provider's answer: %w", err)
	}
	if accepted.ID == "" {
		return "", errors.New("the payment provider's answer has no id")
	}
	return accepted.ID, nil
}

// budget bounds repetitions to a share of the calls: when everything fails, repeating everything makes it worse.
type budget struct {
	mu     sync.Mutex
	tokens float64
}

func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(budgetReserve, b.tokens+budgetRatio)
}

func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
