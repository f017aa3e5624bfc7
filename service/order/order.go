// Package order is the domain: orders, their state machine, and the interfaces that it needs ([Store], [Payments]). It knows
// neither HTTP nor SQL, and imports nothing of this module.
package order

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"uuid"
)

// Status is the state of an order. [Order.Pay] and the methods beside it are the transitions.
type Status string

// The states of an order. In Paying the outcome of a charge is unknown; Paid and Cancelled are final.
const (
	Pending   Status = "pending"
	Paying    Status = "paying"
	Paid      Status = "paid"
	Declined  Status = "declined"
	Rejected  Status = "rejected" // the provider rejected the charge; paying again fails until the cause is fixed
	Cancelled Status = "cancelled"
)

// Statuses lists the states.
var Statuses = []Status{Pending, Paying, Paid, Declined, Rejected, Cancelled}

// Valid reports whether s is one of the states.
func (s Status) Valid() bool { return slices.Contains(Statuses, s) }

// open reports whether the order may be changed: no payment is made or in progress.
func (s Status) open() bool { return s == Pending || s == Declined || s == Rejected }

// LineItem is one line of an order.
type LineItem struct {
	SKU       string `json:"sku"`
	Quantity  int64  `json:"quantity"`
	UnitPrice int64  `json:"unit_price"` // in the currency's minor unit
}

// Order is one version of an order. It is a value: transitions return the next version.
type Order struct {
	ID        string     `json:"id"` // a UUID of version 7: sorts by the time of creation
	Customer  string     `json:"customer"`
	Currency  string     `json:"currency"` // ISO 4217
	Note      string     `json:"note,omitempty"`
	Items     []LineItem `json:"items"`
	Total     int64      `json:"total"` // in the currency's minor unit
	Status    Status     `json:"status"`
	PaymentID string     `json:"payment_id,omitempty"` // the provider's id of the payment, once paid
	Attempt   int        `json:"attempt,omitempty"`    // number of payments started
	Version   int64      `json:"version"`              // starts at 1, incremented by each change
	CreatedAt time.Time  `json:"created_at"`           // UTC, in microseconds, as are all times here
	UpdatedAt time.Time  `json:"updated_at"`
}

// NewOrder is an order to be placed.
type NewOrder struct {
	Customer string
	Currency string
	Note     string
	Items    []LineItem
}

// Patch changes an order; nil members change nothing.
type Patch struct {
	Note  *string
	Items *[]LineItem
}

// ErrState is wrapped by errors of changes that the order's state does not allow.
var ErrState = errors.New("the order's state does not allow this")

func place(n NewOrder, now time.Time) (Order, error) {
	o := Order{
		ID: uuid.NewV7().String(), Customer: n.Customer, Currency: n.Currency, Note: n.Note, Items: n.Items,
		Total: total(n.Items), Status: Pending, Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	return o, o.validate()
}

func total(items []LineItem) (sum int64) {
	for _, i := range items {
		sum += i.Quantity * i.UnitPrice
	}
	return sum
}

// Apply applies a patch, unless a payment is made or in progress.
func (o Order) Apply(p Patch, now time.Time) (Order, error) {
	if !o.Status.open() {
		return o, o.refuse("changed")
	}
	if p.Note != nil {
		o.Note = *p.Note
	}
	if p.Items != nil {
		o.Items, o.Total = *p.Items, total(*p.Items)
	}
	return o.next(o.Status, now), o.validate()
}

// Pay starts a payment; from now on the order may be charged, with the key [Order.ChargeKey].
func (o Order) Pay(now time.Time) (Order, error) {
	if !o.Status.open() {
		return o, o.refuse("paid")
	}
	o.Attempt++
	return o.next(Paying, now), nil
}

// Settle records that the provider accepted the payment.
func (o Order) Settle(paymentID string, now time.Time) (Order, error) {
	if o.Status != Paying {
		return o, o.refuse("settled")
	}
	o.PaymentID = paymentID
	return o.next(Paid, now), nil
}

// Decline records that the payment was declined; the customer may try again.
func (o Order) Decline(now time.Time) (Order, error) {
	if o.Status != Paying {
		return o, o.refuse("declined")
	}
	return o.next(Declined, now), nil
}

// Reject records that the provider rejected the charge.
func (o Order) Reject(now time.Time) (Order, error) {
	if o.Status != Paying {
		return o, o.refuse("rejected")
	}
	return o.next(Rejected, now), nil
}

// Cancel cancels the order, unless a payment is made or in progress.
func (o Order) Cancel(now time.Time) (Order, error) {
	if !o.Status.open() {
		return o, o.refuse("cancelled")
	}
	return o.next(Cancelled, now), nil
}

// ChargeKey identifies one attempt to charge this order. The provider charges a key once, however often it is sent.
func (o Order) ChargeKey() string { return fmt.Sprintf("%s/%d", o.ID, o.Attempt) }

func (o Order) next(s Status, now time.Time) Order {
	o.Status, o.UpdatedAt = s, now
	o.Version++
	return o
}

func (o Order) refuse(what string) error {
	return fmt.Errorf("an order that is %s cannot be %s: %w", o.Status, what, ErrState)
}
