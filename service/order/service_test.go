package order_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"go.opentelemetry.io/otel/trace/noop"

	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// provider responds to charges as configured, and records them.
type provider struct {
	mu      sync.Mutex
	answers []error // for the calls to come; nil accepts, and so does an empty list
	charges []order.Charge
	during  func() // runs while a charge is under way
}

func (p *provider) Charge(ctx context.Context, c order.Charge) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.charges = append(p.charges, c)
	if p.during != nil {
		p.during()
	}
	if len(p.answers) > 0 {
		err := p.answers[0]
		p.answers = p.answers[1:]
		if err != nil {
			return "", err
		}
	}
	return "pay-" + c.Key, ctx.Err()
}

// journal records what it observes.
type journal struct {
	mu      sync.Mutex
	reached []order.Status
	charges []string
	keys    []string
}

func (j *journal) KeyUsed(result string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.keys = append(j.keys, result)
}

func (*journal) Reconciled(int, int) {}

func (j *journal) OrderReached(s order.Status) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.reached = append(j.reached, s)
}

func (j *journal) Charged(outcome string, _ time.Duration) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.charges = append(j.charges, outcome)
}

// world is a service over a real store, with a clock and a provider that tests control.
type world struct {
	*order.Service
	store    *sqlite.Store
	provider provider
	journal  journal
	now      time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "orders.db"), noop.NewTracerProvider())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if _, err := store.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w := &world{store: store, now: noon}
	w.Service = order.NewService(store, &w.provider, &w.journal, func() time.Time { return w.now })
	return w
}

func basket() order.NewOrder {
	return order.NewOrder{Customer: "ann", Currency: "EUR", Items: []order.LineItem{{SKU: "a", Quantity: 2, UnitPrice: 150}}}
}

func (w *world) place(t *testing.T) order.Order {
	t.Helper()
	o, _, err := w.Create(t.Context(), basket(), "shop", "")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (w *world) want(t *testing.T, id string, status order.Status) order.Order {
	t.Helper()
	o, err := w.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if o.Status != status {
		t.Errorf("the order is %s, want %s", o.Status, status)
	}
	return o
}

func TestCreate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.now = noon.Add(1234567 * time.Nanosecond).In(time.FixedZone("", 3600))
	o := w.place(t)
	want := order.Order{ID: o.ID, Customer: "ann", Currency: "EUR", Items: basket().Items, Total: 300, Status: order.Pending,
		Version: 1, CreatedAt: noon.Add(1234 * time.Microsecond), UpdatedAt: noon.Add(1234 * time.Microsecond)}
	if diff := cmp.Diff(want, o); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, w.want(t, o.ID, order.Pending)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]order.Status{order.Pending}, w.journal.reached); diff != "" {
		t.Error(diff)
	}
}

func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tests := []struct {
		name   string
		change func(*order.NewOrder)
		want   string // the fields that are wrong
	}{
		{"customer is missing", func(n *order.NewOrder) { n.Customer = "" }, "customer"},
		{"customer with a space", func(n *order.NewOrder) { n.Customer = "an n" }, "customer"},
		{"customer too long", func(n *order.NewOrder) { n.Customer = strings.Repeat("a", 101) }, "customer"},
		{"currency in small letters", func(n *order.NewOrder) { n.Currency = "eur" }, "currency"},
		{"note too long", func(n *order.NewOrder) { n.Note = strings.Repeat("ü", 1001) }, "note"},
		{"note with a zero byte", func(n *order.NewOrder) { n.Note = "a\x00b" }, "note"},
		{"no items", func(n *order.NewOrder) { n.Items = nil }, "items"},
		{"too many items", func(n *order.NewOrder) {
			for range 100 {
				n.Items = append(n.Items, n.Items[0])
			}
		}, "items"},
		{"items", func(n *order.NewOrder) {
			n.Items = []order.LineItem{{SKU: "a b", Quantity: 0, UnitPrice: -1}, {SKU: "c", Quantity: 10_001, UnitPrice: 1_000_000_001}}
		}, "items[0].sku items[0].quantity items[0].unit_price items[1].quantity items[1].unit_price"},
		{"everything", func(n *order.NewOrder) { *n = order.NewOrder{} }, "customer currency items"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := basket()
			test.change(&n)
			_, _, err := w.Create(t.Context(), n, "shop", "key")
			var invalid *order.InvalidError
			if !errors.As(err, &invalid) {
				t.Fatalf("want an InvalidError, got %v", err)
			}
			var fields []string
			for _, f := range invalid.Fields {
				fields = append(fields, f.Field)
				if !strings.Contains(err.Error(), f.Message) {
					t.Errorf("%q does not say %q", err, f.Message)
				}
			}
			if got := strings.Join(fields, " "); got != test.want {
				t.Errorf("fields %s, want %s", got, test.want)
			}
		})
	}
}

func TestCreateAcceptsLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := basket()
	n.Customer, n.Note = strings.Repeat("a", 100), strings.Repeat("ü", 1000)
	for len(n.Items) < 100 {
		n.Items = append(n.Items, order.LineItem{SKU: strings.Repeat("s", 64), Quantity: 10_000, UnitPrice: 1_000_000_000})
	}
	o, _, err := w.Create(t.Context(), n, "", "")
	if err != nil || o.Total != 300+99*10_000*1_000_000_000 {
		t.Errorf("total %d, error %v", o.Total, err)
	}
}

func TestPay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.place(t)
	for range 2 { // again: it is paid already
		paid, err := w.Pay(t.Context(), o.ID)
		if err != nil || paid.Status != order.Paid || paid.PaymentID != "pay-"+o.ID+"/1" {
			t.Errorf("Pay = %+v, %v", paid, err)
		}
	}
	want := []order.Charge{{Key: o.ID + "/1", Customer: "ann", Amount: 300, Currency: "EUR"}}
	if diff := cmp.Diff(want, w.provider.charges); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]order.Status{order.Pending, order.Paying, order.Paid}, w.journal.reached); diff != "" {
		t.Error(diff)
	}
}

func TestPayDeclinedAndAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.provider.answers = []error{order.ErrDeclined}
	o := w.place(t)
	if _, err := w.Pay(t.Context(), o.ID); !errors.Is(err, order.ErrDeclined) {
		t.Errorf("error %v, want ErrDeclined", err)
	}
	w.want(t, o.ID, order.Declined)
	if _, err := w.Pay(t.Context(), o.ID); err != nil {
		t.Error(err)
	}
	w.want(t, o.ID, order.Paid)
	if w.provider.charges[0].Key == w.provider.charges[1].Key {
		t.Error("the second attempt has the key of the first: the provider would decline again")
	}
	if diff := cmp.Diff([]string{"declined", "paid"}, w.journal.charges); diff != "" {
		t.Error(diff)
	}
}

// TestPayWithoutAnswer is the critical case: the provider may have charged, but did not respond.
func TestPayWithoutAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.provider.answers = []error{errors.New("connection reset"), errors.New("connection reset")}
	o := w.place(t)
	if _, err := w.Pay(t.Context(), o.ID); !errors.Is(err, order.ErrPaymentPending) {
		t.Errorf("error %v, want ErrPaymentPending", err)
	}
	w.want(t, o.ID, order.Paying)
	if _, err := w.Cancel(t.Context(), o.ID); !errors.Is(err, order.ErrState) {
		t.Errorf("an order with an open payment was cancelled: %v", err)
	}
	if n, err := w.Reconcile(t.Context()); n != 0 || err != nil {
		t.Errorf("immediately, Reconcile = %d, %v; a request may still be running", n, err)
	}
	w.now = w.now.Add(2 * time.Minute)
	if n, err := w.Reconcile(t.Context()); n != 0 || !errors.Is(err, order.ErrPaymentPending) {
		t.Errorf("while the provider is away, Reconcile = %d, %v", n, err)
	}
	if n, err := w.Reconcile(t.Context()); n != 1 || err != nil {
		t.Errorf("Reconcile = %d, %v", n, err)
	}
	w.want(t, o.ID, order.Paid)
	for _, c := range w.provider.charges {
		if c.Key != o.ID+"/1" {
			t.Errorf("charged with the key %s: the customer could pay twice", c.Key)
		}
	}
}

func TestReconcileDeclined(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.provider.answers = []error{errors.New("timeout"), order.ErrDeclined}
	o := w.place(t)
	_, _ = w.Pay(t.Context(), o.ID)
	w.now = w.now.Add(2 * time.Minute)
	if n, err := w.Reconcile(t.Context()); n != 1 || err != nil {
		t.Errorf("Reconcile = %d, %v", n, err)
	}
	w.want(t, o.ID, order.Declined)
}

// TestPayClientGone shows that the outcome of a charge is recorded even if the client has disconnected.
func TestPayClientGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.place(t)
	ctx, cancel := context.WithCancel(t.Context())
	w.provider.during = cancel
	w.provider.answers = []error{order.ErrDeclined}
	if _, err := w.Pay(ctx, o.ID); !errors.Is(err, order.ErrDeclined) {
		t.Errorf("error %v", err)
	}
	w.want(t, o.ID, order.Declined)
}

func TestPayConcurrently(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.place(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if paid, err := w.Pay(t.Context(), o.ID); err != nil || paid.Status != order.Paid {
				t.Errorf("Pay = %s, %v", paid.Status, err)
			}
		})
	}
	all.Wait()
	for _, c := range w.provider.charges {
		if c.Key != o.ID+"/1" {
			t.Errorf("charged with the key %s", c.Key)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.place(t)
	for range 2 { // again: it is cancelled already
		if got, err := w.Cancel(t.Context(), o.ID); err != nil || got.Status != order.Cancelled || got.Version != 2 {
			t.Errorf("Cancel = %+v, %v", got, err)
		}
	}
	if _, err := w.Pay(t.Context(), o.ID); !errors.Is(err, order.ErrState) {
		t.Errorf("a cancelled order was paid: %v", err)
	}
}

func TestChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.place(t)
	note, items := "ring twice", []order.LineItem{{SKU: "b", Quantity: 1, UnitPrice: 5}}
	any := func(order.Order) bool { return true }
	changed, err := w.Change(t.Context(), o.ID, any, order.Patch{Note: &note, Items: &items})
	if err != nil || changed.Note != note || changed.Total != 5 || changed.Version != 2 {
		t.Errorf("Change = %+v, %v", changed, err)
	}
	none := func(order.Order) bool { return false }
	if _, err := w.Change(t.Context(), o.ID, none, order.Patch{}); !errors.Is(err, order.ErrChanged) {
		t.Errorf("another version: %v", err)
	}
	var invalid *order.InvalidError
	if _, err := w.Change(t.Context(), o.ID, any, order.Patch{Items: &[]order.LineItem{}}); !errors.As(err, &invalid) {
		t.Errorf("no items: %v", err)
	}
	if _, err := w.Pay(t.Context(), o.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Change(t.Context(), o.ID, any, order.Patch{Note: &note}); !errors.Is(err, order.ErrState) {
		t.Errorf("a paid order was changed: %v", err)
	}
}

func TestUnknownOrders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, id := range []string{"", "1", "01a1fb9a-fe51-73c1-b5e5-35bd9d5446ca", "'; --"} {
		_, get := w.Get(t.Context(), id)
		_, pay := w.Pay(t.Context(), id)
		_, cancel := w.Cancel(t.Context(), id)
		_, change := w.Change(t.Context(), id, nil, order.Patch{})
		for _, err := range []error{get, pay, cancel, change} {
			if !errors.Is(err, order.ErrNotFound) {
				t.Errorf("%q: %v, want ErrNotFound", id, err)
			}
		}
	}
}

func TestIdempotency(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, replayed, err := w.Create(t.Context(), basket(), "shop", "k")
	if err != nil || replayed {
		t.Fatal(replayed, err)
	}
	again, replayed, err := w.Create(t.Context(), basket(), "shop", "k")
	if err != nil || !replayed || cmp.Diff(first, again) != "" {
		t.Errorf("again: %+v, replayed %v, error %v", again, replayed, err)
	}
	other := basket()
	other.Note = "another"
	if _, _, err := w.Create(t.Context(), other, "shop", "k"); !errors.Is(err, order.ErrKeyReused) {
		t.Errorf("another body: %v, want ErrKeyReused", err)
	}
	if n, err := w.ForgetKeys(t.Context()); n != 0 || err != nil {
		t.Errorf("on the same day ForgetKeys = %d, %v", n, err)
	}
	w.now = w.now.Add(25 * time.Hour)
	if n, err := w.ForgetKeys(t.Context()); n != 1 || err != nil {
		t.Errorf("a day later ForgetKeys = %d, %v", n, err)
	}
	if len(w.journal.reached) != 1 {
		t.Errorf("a replay was counted: %v", w.journal.reached)
	}
}

func TestListTellsNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.place(t)
	}
	page, next, err := w.List(t.Context(), order.Query{Limit: 2})
	if err != nil || len(page) != 2 || next != page[1].Position() {
		t.Fatalf("%d orders, next %q, error %v", len(page), next, err)
	}
	page, next, err = w.List(t.Context(), order.Query{Limit: 2, After: next})
	if err != nil || len(page) != 1 || next != (order.Position{}) {
		t.Errorf("%d orders, next %q, error %v", len(page), next, err)
	}
}

func TestStoreFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.place(t)
	if err := w.Ready(t.Context()); err != nil {
		t.Errorf("Ready: %v", err)
	}
	_ = w.store.Close()
	if err := w.Ready(t.Context()); err == nil {
		t.Error("Ready with a closed store")
	}
	_, _, create := w.Create(t.Context(), basket(), "", "")
	_, get := w.Get(t.Context(), o.ID)
	_, _, list := w.List(t.Context(), order.Query{Limit: 1})
	_, reconcile := w.Reconcile(t.Context())
	for name, err := range map[string]error{"create order": create, "get order": get, "list orders": list, "list unsettled orders": reconcile} {
		t.Run(name, func(t *testing.T) {
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("the error does not say %q: %v", name, err)
			}
		})
	}
}

// TestRejectedCharge shows that an order whose charge is rejected can be changed and cancelled.
func TestRejectedCharge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o, _, err := w.Create(t.Context(), order.NewOrder{Customer: "ann", Currency: "EUR", Items: []order.LineItem{{SKU: "a", Quantity: 1, UnitPrice: 1}}}, "", "")
	if err != nil {
		t.Fatal(err)
	}
	w.provider.answers = []error{order.ErrRejected}
	if o, err = w.Pay(t.Context(), o.ID); !errors.Is(err, order.ErrRejected) || o.Status != order.Rejected {
		t.Errorf("Pay = %s, %v", o.Status, err)
	}
	if o, err = w.Cancel(t.Context(), o.ID); err != nil || o.Status != order.Cancelled {
		t.Errorf("Cancel = %s, %v", o.Status, err)
	}
}

// TestReconcileIsNotStarved shows that orders which cannot be settled, more than one run takes, do not starve others.
func TestReconcileIsNotStarved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const poison = 250
	noAnswer := errors.New("no answer")
	for range poison + 1 { // the oldest, which comes last, is the one that could be settled
		o, _, err := w.Create(t.Context(), order.NewOrder{Customer: "ann", Currency: "EUR", Items: []order.LineItem{{SKU: "a", Quantity: 1, UnitPrice: 1}}}, "", "")
		if err != nil {
			t.Fatal(err)
		}
		w.provider.answers = []error{noAnswer}
		if _, err := w.Pay(t.Context(), o.ID); !errors.Is(err, order.ErrPaymentPending) {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Millisecond)
	}
	w.now = w.now.Add(time.Hour)
	for range poison {
		w.provider.answers = append(w.provider.answers, noAnswer)
	}
	settled := 0
	for range 3 {
		n, _ := w.Reconcile(t.Context())
		settled += n
	}
	if settled != 1 {
		t.Errorf("%d orders were settled in three runs, want the one behind %d that cannot be", settled, poison)
	}
}
