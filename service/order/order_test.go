package order_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gitlab.com/slipway-ci/slipway/service/order"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// TestStateMachine walks at random and compares with a model: which changes a state allows, and what never happens.
func TestStateMachine(t *testing.T) {
	t.Parallel()
	allowed := map[order.Status]map[string]order.Status{
		order.Pending:   {"apply": order.Pending, "pay": order.Paying, "cancel": order.Cancelled},
		order.Declined:  {"apply": order.Declined, "pay": order.Paying, "cancel": order.Cancelled},
		order.Rejected:  {"apply": order.Rejected, "pay": order.Paying, "cancel": order.Cancelled},
		order.Paying:    {"settle": order.Paid, "decline": order.Declined, "reject": order.Rejected},
		order.Paid:      {},
		order.Cancelled: {},
	}
	rapid.Check(t, func(t *rapid.T) {
		now := noon
		o := order.Order{ID: "id", Customer: "c", Currency: "EUR", Items: []order.LineItem{{SKU: "a", Quantity: 1}}, Status: order.Pending, Version: 1}
		charged := map[string]bool{}
		steps := rapid.SliceOf(rapid.SampledFrom([]string{"apply", "pay", "settle", "decline", "reject", "cancel"})).Draw(t, "steps")
		for _, step := range steps {
			now = now.Add(time.Second)
			before := o
			var err error
			switch step {
			case "apply":
				note := rapid.String().Filter(func(s string) bool { return len(s) < 100 && !strings.Contains(s, "\x00") }).Draw(t, "note")
				o, err = o.Apply(order.Patch{Note: &note}, now)
			case "pay":
				o, err = o.Pay(now)
			case "settle":
				o, err = o.Settle("p", now)
			case "decline":
				o, err = o.Decline(now)
			case "reject":
				o, err = o.Reject(now)
			case "cancel":
				o, err = o.Cancel(now)
			}
			to, ok := allowed[before.Status][step]
			switch {
			case ok != (err == nil):
				t.Fatalf("%s of a %s order: %v", step, before.Status, err)
			case !ok:
				if !errors.Is(err, order.ErrState) || cmp.Diff(before, o) != "" {
					t.Fatalf("a refused %s: error %v, order %+v", step, err, o)
				}
				continue
			case o.Status != to:
				t.Fatalf("%s leads from %s to %s, want %s", step, before.Status, o.Status, to)
			}
			if o.Version != before.Version+1 || !o.UpdatedAt.Equal(now) {
				t.Fatalf("%s: version %d after %d, updated at %v", step, o.Version, before.Version, o.UpdatedAt)
			}
			if step == "pay" {
				if charged[o.ChargeKey()] {
					t.Fatalf("two attempts have the key %s", o.ChargeKey())
				}
				charged[o.ChargeKey()] = true
			}
			if (o.PaymentID != "") != (o.Status == order.Paid) {
				t.Fatalf("a %s order has the payment %q", o.Status, o.PaymentID)
			}
		}
	})
}

func TestStatusValid(t *testing.T) {
	t.Parallel()
	for status, want := range map[order.Status]bool{order.Pending: true, order.Paying: true, order.Paid: true, order.Declined: true,
		order.Rejected: true, order.Cancelled: true, "": false, "PAID": false} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			if got := status.Valid(); got != want {
				t.Errorf("%q is valid: %v", status, got)
			}
		})
	}
}
