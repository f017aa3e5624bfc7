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
	"strconv"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

const (
	dialTimeout      = time.Second
	idleConns        = 32
	idleTimeout      = 90 * time.Second
	maxAnswer        = 64 << 10
	firstPause       = 50 * time.Millisecond // before the first retry; doubles, with jitter
	budgetRatio      = 0.1                   // retries per call, in the long run
	budgetReserve    = 10                    // retries that are possible after a quiet time
	breakerFailures  = 5                     // consecutive, until the breaker opens
	breakerOpen      = 10 * time.Second
	breakerTrialCall = 1
)

// Options configures a Client.
type Options struct {
	URL     string // where charges are posted
	Token   string // a bearer token, or ""
	Timeout time.Duration
	Retries int
	Traces  *telemetry.Traces                // every call is a span
	Breaker func(state string, all []string) // receives the state of the circuit breaker, one of all
}

// Client charges through a provider's HTTP interface:
//
//	POST {URL}, Idempotency-Key: KEY, {"customer","amount","currency"} -> 200/201 {"id"}, or 402 when declined.
type Client struct {
	options Options
	tracer  trace.Tracer
	http    *http.Client
	breaker *gobreaker.CircuitBreaker[string]
	budget  budget
}

// NewClient returns a client. Call Close when done.
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
	report := func(state gobreaker.State) { o.Breaker(state.String(), breakerStates) }
	report(gobreaker.StateClosed)
	return &Client{options: o, tracer: o.Traces.Tracer("gitlab.com/slipway-ci/slipway/service/payments"), budget: budget{tokens: budgetReserve},
		// A redirected POST would become a GET, so redirects are not followed.
		http: &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		breaker: gobreaker.NewCircuitBreaker[string](gobreaker.Settings{
			Name: "payments", MaxRequests: breakerTrialCall, Timeout: breakerOpen,
			ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= breakerFailures },
			OnStateChange: func(_ string, _, to gobreaker.State) { report(to) },
			// Only temporary failures count: 5xx, 429 and no response. A provider that declines or rejects works, and a request
			// that our client cancelled says nothing about it.
			IsSuccessful: func(err error) bool {
				var temporary *temporaryError
				return !errors.As(err, &temporary) || errors.Is(err, context.Canceled)
			},
		})}
}

// breakerStates are the states of the circuit breaker.
var breakerStates = []string{gobreaker.StateClosed.String(), gobreaker.StateHalfOpen.String(), gobreaker.StateOpen.String()}

// State returns the state of the circuit breaker: closed, half-open or open.
func (c *Client) State() string { return c.breaker.State().String() }

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Charge implements [order.Payments]. It retries failed calls, which the key makes safe, within the budget.
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

// temporaryError is a failure that a retry may cure.
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
	ctx, span := c.begin(request)
	status := 0
	defer func() { end(span, status, err) }()
	response, err := c.http.Do(request.WithContext(ctx))
	if err != nil {
		return "", &temporaryError{err}
	}
	defer response.Body.Close() //nolint:errcheck // only read
	status = response.StatusCode
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return "", &temporaryError{err}
	}
	if err := outcome(response); err != nil {
		return "", err
	}
	var accepted struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(answer, &accepted); err != nil {
		return "", fmt.Errorf("read the payment provider's response: %w", err)
	}
	if accepted.ID == "" {
		return "", errors.New("the payment provider's response has no id")
	}
	return accepted.ID, nil
}

// outcome returns the error that the status of a response means; nil for an accepted charge.
func outcome(response *http.Response) error {
	err := fmt.Errorf("the payment provider responded with %s", response.Status)
	switch status := response.StatusCode; {
	case status == http.StatusOK, status == http.StatusCreated:
		return nil
	case status == http.StatusPaymentRequired:
		return order.ErrDeclined
	case status >= http.StatusInternalServerError, status == http.StatusTooManyRequests:
		return &temporaryError{err}
	case status == http.StatusConflict, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status < http.StatusMultipleChoices:
		return err // a charge with this key may be in progress: the outcome is unknown
	}
	return fmt.Errorf("%w: %w", order.ErrRejected, err)
}

// begin starts the span of a call and injects it into the request.
func (c *Client) begin(r *http.Request) (context.Context, trace.Span) {
	ctx, span := c.tracer.Start(r.Context(), r.Method, trace.WithSpanKind(trace.SpanKindClient))
	c.options.Traces.Propagator.Inject(ctx, propagation.HeaderCarrier(r.Header))
	if span.IsRecording() {
		port, err := strconv.Atoi(r.URL.Port())
		if err != nil {
			port = map[string]int{"http": 80, "https": 443}[r.URL.Scheme]
		}
		span.SetAttributes(semconv.HTTPRequestMethodKey.String(r.Method), semconv.ServerAddress(r.URL.Hostname()), semconv.ServerPort(port),
			semconv.URLFull(r.URL.Redacted()))
	}
	return ctx, span
}

// end ends the span of a call with the status of its response, 0 for none.
func end(span trace.Span, status int, err error) {
	defer span.End()
	if !span.IsRecording() {
		return
	}
	if status > 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	}
	switch {
	case status >= http.StatusBadRequest:
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
		span.SetStatus(codes.Error, "")
	case err != nil:
		span.SetAttributes(semconv.ErrorType(err))
		span.SetStatus(codes.Error, err.Error())
	}
}

// budget limits retries to a share of the calls, so that retries do not multiply the load of a failing provider.
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
