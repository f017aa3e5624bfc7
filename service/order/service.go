package order

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"uuid"
)

// Errors of [Payments]. With any other error the outcome is unknown.
var (
	// ErrDeclined means that the payment was declined.
	ErrDeclined = errors.New("the payment was declined")
	// ErrRejected means that the provider rejected the charge as invalid: nothing was charged, and nothing will be.
	ErrRejected = errors.New("the payment provider rejected the charge")
)

// ErrPaymentPending is wrapped by errors of [Service.Pay] if the outcome is unknown; [Service.Reconcile] settles it.
var ErrPaymentPending = errors.New("the payment provider did not respond")

// Charge is a payment request; the provider charges its Key once.
type Charge struct {
	Key      string
	Customer string
	Amount   int64 // in the currency's minor unit
	Currency string
}

// Payments is a payment provider.
type Payments interface {
	// Charge returns the provider's id of the payment, or an error that wraps ErrDeclined or ErrRejected.
	Charge(ctx context.Context, c Charge) (paymentID string, err error)
}

// Observer receives events for metrics.
type Observer interface {
	// OrderReached reports that an order entered a state; a new one enters Pending.
	OrderReached(s Status)
	// Charged reports how a charge ended ("paid", "declined", "rejected" or "error") and its duration, retries included.
	Charged(outcome string, d time.Duration)
	// KeyUsed reports the result of an idempotency key: "stored", "replayed" or "reused" for another request.
	KeyUsed(result string)
	// Reconciled reports a run of [Service.Reconcile]: how many orders it settled, and how many it could not.
	Reconciled(settled, failed int)
}

const (
	idLength        = 36 // of a UUID in its usual form
	keyLifetime     = 24 * time.Hour
	reconcileAfter  = time.Minute // longer than a request may take, so that Reconcile does not race a running one
	reconcileBatch  = 100
	settleTimeout   = 5 * time.Second
	advanceAttempts = 3
)

// Service implements the use cases of orders. Its methods return the domain's errors, or wrapped errors of the store.
type Service struct {
	store    Store
	payments Payments
	observer Observer
	now      func() time.Time

	mu         sync.Mutex
	reconciled Position // the last order of the previous run of Reconcile
}

// NewService returns a service that keeps orders in store and is paid through payments; now is its clock.
func NewService(store Store, payments Payments, observer Observer, now func() time.Time) *Service {
	return &Service{store: store, payments: payments, observer: observer,
		now: func() time.Time { return now().UTC().Truncate(time.Microsecond) }}
}

// Create places an order. With a key it does so once: repetitions return the order as it was placed, and replayed is true.
func (s *Service) Create(ctx context.Context, n NewOrder, client, key string) (o Order, replayed bool, err error) {
	o, err = place(n, s.now())
	if err != nil {
		return o, false, err
	}
	o, replayed, err = s.store.Create(ctx, o, Key{Client: client, Value: key, Fingerprint: fingerprint(n)})
	if key != "" {
		s.observeKey(replayed, err)
	}
	if err != nil {
		return o, false, fmt.Errorf("create order: %w", err)
	}
	if !replayed {
		s.observer.OrderReached(Pending)
	}
	return o, replayed, nil
}

func (s *Service) observeKey(replayed bool, err error) {
	switch {
	case errors.Is(err, ErrKeyReused):
		s.observer.KeyUsed("reused")
	case err == nil && replayed:
		s.observer.KeyUsed("replayed")
	case err == nil:
		s.observer.KeyUsed("stored")
	}
}

func fingerprint(n NewOrder) string {
	b, _ := json.Marshal(n) // strings and integers: cannot fail
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Get returns the order, or [ErrNotFound].
func (s *Service) Get(ctx context.Context, id string) (Order, error) {
	if _, err := uuid.Parse(id); err != nil || len(id) != idLength {
		return Order{}, ErrNotFound
	}
	o, err := s.store.Get(ctx, strings.ToLower(id))
	if err != nil {
		return o, fmt.Errorf("get order: %w", err)
	}
	return o, nil
}

// List returns a page of orders, the newest first, and the After of the next page; zero on the last page.
func (s *Service) List(ctx context.Context, q Query) (orders []Order, next Position, err error) {
	limit := q.Limit
	q.Limit++ // one more shows whether there is a next page
	orders, err = s.store.List(ctx, q)
	if err != nil {
		return nil, next, fmt.Errorf("list orders: %w", err)
	}
	if len(orders) > limit {
		orders = orders[:limit]
		next = orders[limit-1].Position()
	}
	return orders, next, nil
}

// Change applies a patch to the order if it satisfies match; [ErrChanged] otherwise.
func (s *Service) Change(ctx context.Context, id string, match func(Order) bool, p Patch) (Order, error) {
	o, err := s.Get(ctx, id)
	if err != nil {
		return o, err
	}
	if !match(o) {
		return o, ErrChanged
	}
	o, err = o.Apply(p, s.now())
	if err != nil {
		return o, err
	}
	return o, s.update(ctx, o)
}

// Cancel cancels an order; it is idempotent.
func (s *Service) Cancel(ctx context.Context, id string) (Order, error) {
	return s.advance(ctx, id, Cancelled, Order.Cancel)
}

// Pay charges the customer. It is idempotent: the order is charged once. The error is [ErrDeclined], [ErrRejected], or wraps
// [ErrPaymentPending] if the provider did not respond.
func (s *Service) Pay(ctx context.Context, id string) (Order, error) {
	o, err := s.Get(ctx, id)
	if err != nil || o.Status == Paid {
		return o, err
	}
	if o.Status != Paying {
		if o, err = s.advance(ctx, id, Paying, Order.Pay); err != nil || o.Status != Paying {
			return o, err
		}
	}
	return s.settle(ctx, o)
}

// settle charges the order and records the outcome. Concurrent calls for one order are safe: they use the same key, so they
// get the same outcome, which one of them records.
func (s *Service) settle(ctx context.Context, o Order) (Order, error) {
	start := time.Now() // not s.now: durations need the monotonic clock
	paymentID, err := s.payments.Charge(ctx, Charge{Key: o.ChargeKey(), Customer: o.Customer, Amount: o.Total, Currency: o.Currency})
	took := time.Since(start)
	var done Order
	switch {
	case err == nil:
		s.observer.Charged("paid", took)
		done, err = o.Settle(paymentID, s.now())
	case errors.Is(err, ErrDeclined):
		s.observer.Charged("declined", took)
		done, err = o.Decline(s.now())
	case errors.Is(err, ErrRejected):
		s.observer.Charged("rejected", took)
		done, err = o.Reject(s.now())
	default:
		s.observer.Charged("error", took)
		return o, fmt.Errorf("%w: %w", ErrPaymentPending, err)
	}
	if err != nil {
		return o, err
	}
	// The charge is final: record it even if the client has disconnected.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	switch err := s.update(ctx, done); {
	case errors.Is(err, ErrChanged):
		if done, err = s.Get(ctx, o.ID); err != nil {
			return o, err
		}
	case err != nil:
		return o, err
	default:
		s.observer.OrderReached(done.Status)
	}
	switch done.Status {
	case Declined:
		return done, ErrDeclined
	case Rejected:
		return done, ErrRejected
	}
	return done, nil
}

// advance makes an idempotent transition: an order that is already in the target state is returned as it is.
func (s *Service) advance(ctx context.Context, id string, to Status, change func(Order, time.Time) (Order, error)) (Order, error) {
	for attempt := 1; ; attempt++ {
		o, err := s.Get(ctx, id)
		if err != nil || o.Status == to {
			return o, err
		}
		if to == Paying && o.Status == Paid { // another request has paid it meanwhile
			return o, nil
		}
		if o, err = change(o, s.now()); err != nil {
			return o, err
		}
		err = s.update(ctx, o)
		if err == nil {
			s.observer.OrderReached(to)
			return o, nil
		}
		if !errors.Is(err, ErrChanged) || attempt == advanceAttempts {
			return o, err
		}
	}
}

func (s *Service) update(ctx context.Context, o Order) error {
	if err := s.store.Update(ctx, o); err != nil {
		return fmt.Errorf("update order: %w", err)
	}
	return nil
}

// Reconcile settles payments whose outcome is unknown because the process was killed or the provider did not respond. Each run
// continues where the previous one ended, so that orders that cannot be settled do not starve others. It returns the number of
// settled orders.
func (s *Service) Reconcile(ctx context.Context) (settled int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stuck, err := s.store.List(ctx, Query{Status: Paying, UpdatedBefore: s.now().Add(-reconcileAfter), After: s.reconciled, Limit: reconcileBatch})
	if err != nil {
		return 0, fmt.Errorf("list unsettled orders: %w", err)
	}
	var errs []error
	for _, o := range stuck {
		if ctx.Err() != nil {
			break
		}
		s.reconciled = o.Position()
		if _, err := s.settle(ctx, o); err != nil && !errors.Is(err, ErrDeclined) && !errors.Is(err, ErrRejected) {
			errs = append(errs, fmt.Errorf("order %s: %w", o.ID, err))
			continue
		}
		settled++
	}
	if len(stuck) < reconcileBatch {
		s.reconciled = Position{} // the next run begins with the newest
	}
	s.observer.Reconciled(settled, len(errs))
	return settled, errors.Join(errs...)
}

// ForgetKeys removes the idempotency keys that are older than a day.
func (s *Service) ForgetKeys(ctx context.Context) (int64, error) {
	return s.store.ForgetKeys(ctx, s.now().Add(-keyLifetime))
}

// Ready returns an error while orders cannot be stored.
func (s *Service) Ready(ctx context.Context) error { return s.store.Ping(ctx) }
