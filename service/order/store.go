package order

import (
	"context"
	"errors"
	"time"
)

// Errors of a [Store]; all others are failures of the store.
var (
	ErrNotFound  = errors.New("there is no such order")
	ErrChanged   = errors.New("the order has changed in the meantime")
	ErrKeyReused = errors.New("the idempotency key was used for another request")
	// ErrUnavailable is wrapped by temporary failures: the store does not respond, is busy or has no space.
	ErrUnavailable = errors.New("the store is unavailable")
)

// Store stores orders. After Create or Update has succeeded, the change survives a crash.
type Store interface {
	// Create stores a new order. If the key was used before, it stores nothing and returns the order as the first
	// use of the key stored it, with replayed true; ErrKeyReused if that was for another request. The key and the
	// order are stored in one transaction.
	Create(ctx context.Context, o Order, key Key) (stored Order, replayed bool, err error)
	// Get returns the order, or ErrNotFound.
	Get(ctx context.Context, id string) (Order, error)
	// List returns at most q.Limit orders, the newest first. Its cost is bounded by q.Limit, not by the number of orders.
	List(ctx context.Context, q Query) ([]Order, error)
	// Update replaces the order if the stored one is of the version before o.Version; ErrChanged otherwise.
	Update(ctx context.Context, o Order) error
	// ForgetKeys removes the idempotency keys that were used before t and returns their number.
	ForgetKeys(ctx context.Context, t time.Time) (int64, error)
	// Ping reports whether the store can be used. It does not wait for other calls.
	Ping(ctx context.Context) error
}

// Key is an idempotency key; an empty Value means none.
type Key struct {
	Client      string // keys of different clients are different keys
	Value       string
	Fingerprint string // of the request: the same key with another one is refused
}

// Query selects orders; zero members do not restrict.
type Query struct {
	Status        Status
	Customer      string
	CreatedFrom   time.Time // inclusive
	CreatedBefore time.Time // exclusive
	UpdatedBefore time.Time // exclusive
	After         Position  // of the last order of the page before
	Limit         int
}

// Position is the place of an order in a list.
type Position struct {
	CreatedAt time.Time
	ID        string
}

// Position returns the place of the order in a list.
func (o Order) Position() Position { return Position{o.CreatedAt, o.ID} }
