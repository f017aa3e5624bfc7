// Package storetest is the test suite of every [order.Store].
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
	"uuid"

	"github.com/google/go-cmp/cmp"

	"gitlab.com/slipway-ci/slipway/service/order"
)

// Open returns a store that is empty and migrated; it is closed when the test ends.
type Open func(t *testing.T) order.Store

// Run runs the suite.
func Run(t *testing.T, open Open) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, order.Store){
		"CreateAndGet":         createAndGet,
		"GetUnknown":           getUnknown,
		"KeyReplays":           keyReplays,
		"KeyReused":            keyReused,
		"KeyOfAnotherClient":   keyOfAnotherClient,
		"KeyRollsBack":         keyRollsBack,
		"KeyConcurrently":      keyConcurrently,
		"ForgetKeys":           forgetKeys,
		"UpdateChecksVersion":  updateChecksVersion,
		"UpdateConcurrently":   updateConcurrently,
		"ListFilters":          listFilters,
		"ListPages":            listPages,
		"ListWhileOrdersCome":  listWhileOrdersCome,
		"CancelledContext":     cancelledContext,
		"Ping":                 ping,
		"TextIsKeptAsItIs":     textIsKept,
		"CreateTwiceIsAnError": createTwice,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

var noon = time.Date(2030, 1, 2, 12, 0, 0, 123456000, time.UTC)

func sample(change ...func(*order.Order)) order.Order {
	o := order.Order{ID: uuid.NewV7().String(), Customer: "ann", Currency: "EUR", Note: "ring twice", Total: 700,
		Items:  []order.LineItem{{SKU: "a-1", Quantity: 2, UnitPrice: 300}, {SKU: "b", Quantity: 1, UnitPrice: 100}},
		Status: order.Pending, Version: 1, CreatedAt: noon, UpdatedAt: noon}
	for _, c := range change {
		c(&o)
	}
	return o
}

func create(t *testing.T, s order.Store, o order.Order) order.Order {
	t.Helper()
	stored, replayed, err := s.Create(t.Context(), o, order.Key{})
	if err != nil || replayed {
		t.Fatalf("Create: replayed %v, error %v", replayed, err)
	}
	return stored
}

func equal(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

func createAndGet(t *testing.T, s order.Store) {
	o := sample(func(o *order.Order) {
		o.Status, o.PaymentID, o.Attempt, o.Version, o.UpdatedAt = order.Paid, "p-1", 2, 5, noon.Add(time.Hour)
	})
	equal(t, o, create(t, s, o))
	got, err := s.Get(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, o, got)
}

func getUnknown(t *testing.T, s order.Store) {
	_, err := s.Get(t.Context(), uuid.NewV7().String())
	wantError(t, err, order.ErrNotFound)
}

func keyReplays(t *testing.T, s order.Store) {
	key := order.Key{Client: "shop", Value: "k", Fingerprint: "f"}
	first := sample()
	if _, replayed, err := s.Create(t.Context(), first, key); err != nil || replayed {
		t.Fatalf("first use: replayed %v, error %v", replayed, err)
	}
	changed := first
	changed.Note, changed.Version = "changed since", 2
	if err := s.Update(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	got, replayed, err := s.Create(t.Context(), sample(), key)
	if err != nil || !replayed {
		t.Fatalf("second use: replayed %v, error %v", replayed, err)
	}
	equal(t, first, got) // as it was placed, not as it is
	all, err := s.List(t.Context(), order.Query{Limit: 10})
	if err != nil || len(all) != 1 {
		t.Errorf("%d orders are stored, error %v; want one", len(all), err)
	}
}

func keyReused(t *testing.T, s order.Store) {
	if _, _, err := s.Create(t.Context(), sample(), order.Key{Client: "shop", Value: "k", Fingerprint: "f"}); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.Create(t.Context(), sample(), order.Key{Client: "shop", Value: "k", Fingerprint: "another"})
	wantError(t, err, order.ErrKeyReused)
}

func keyOfAnotherClient(t *testing.T, s order.Store) {
	for _, client := range []string{"shop", "till", ""} {
		if _, replayed, err := s.Create(t.Context(), sample(), order.Key{Client: client, Value: "k", Fingerprint: client}); err != nil || replayed {
			t.Errorf("client %q: replayed %v, error %v", client, replayed, err)
		}
	}
}

// keyRollsBack shows that key and order are one transaction: if the order cannot be stored, the key is not used.
func keyRollsBack(t *testing.T, s order.Store) {
	o := create(t, s, sample())
	key := order.Key{Client: "shop", Value: "k", Fingerprint: "f"}
	if _, _, err := s.Create(t.Context(), o, key); err == nil {
		t.Fatal("the same id was stored twice")
	}
	if _, replayed, err := s.Create(t.Context(), sample(), key); err != nil || replayed {
		t.Errorf("after a failure the key is taken: replayed %v, error %v", replayed, err)
	}
}

func keyConcurrently(t *testing.T, s order.Store) {
	const clients = 8
	key := order.Key{Client: "shop", Value: "k", Fingerprint: "f"}
	var all sync.WaitGroup
	ids := make([]string, clients)
	fresh := make([]bool, clients)
	for i := range clients {
		all.Go(func() {
			o, replayed, err := s.Create(t.Context(), sample(), key)
			if err != nil {
				t.Error(err)
			}
			ids[i], fresh[i] = o.ID, !replayed
		})
	}
	all.Wait()
	created := 0
	for i := range clients {
		if ids[i] != ids[0] {
			t.Errorf("answers differ: %s and %s", ids[0], ids[i])
		}
		if fresh[i] {
			created++
		}
	}
	if created != 1 {
		t.Errorf("%d orders were created, want 1", created)
	}
}

func forgetKeys(t *testing.T, s order.Store) {
	key := order.Key{Client: "shop", Value: "k", Fingerprint: "f"}
	if _, _, err := s.Create(t.Context(), sample(), key); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		before time.Time
		want   int64
	}{{noon, 0}, {noon.Add(time.Microsecond), 1}, {noon.Add(time.Hour), 0}} {
		if got, err := s.ForgetKeys(t.Context(), step.before); err != nil || got != step.want {
			t.Errorf("ForgetKeys before %v = %d, %v; want %d", step.before, got, err, step.want)
		}
	}
	if _, replayed, err := s.Create(t.Context(), sample(), key); err != nil || replayed {
		t.Errorf("a forgotten key: replayed %v, error %v", replayed, err)
	}
}

func updateChecksVersion(t *testing.T, s order.Store) {
	o := create(t, s, sample())
	o.Note, o.Items, o.Total, o.Status, o.PaymentID, o.Attempt = "", []order.LineItem{{SKU: "c", Quantity: 1, UnitPrice: 5}}, 5, order.Paid, "p", 1
	o.Version, o.UpdatedAt = 2, noon.Add(time.Minute)
	if err := s.Update(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	got, err := s.Get(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, o, got)
	wantError(t, s.Update(t.Context(), o), order.ErrChanged) // version 1 is not there any more
	unknown := sample(func(o *order.Order) { o.Version = 2 })
	wantError(t, s.Update(t.Context(), unknown), order.ErrChanged)
}

func updateConcurrently(t *testing.T, s order.Store) {
	o := create(t, s, sample())
	const writers = 8
	var all sync.WaitGroup
	results := make([]error, writers)
	for i := range writers {
		all.Go(func() {
			mine := o
			mine.Version, mine.Note = 2, fmt.Sprint("writer ", i)
			results[i] = s.Update(t.Context(), mine)
		})
	}
	all.Wait()
	won := 0
	for _, err := range results {
		if err == nil {
			won++
		} else {
			wantError(t, err, order.ErrChanged)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won, want 1", won)
	}
}

func listFilters(t *testing.T, s order.Store) {
	early := create(t, s, sample(func(o *order.Order) { o.CreatedAt = noon.Add(-time.Hour) }))
	bob := create(t, s, sample(func(o *order.Order) { o.Customer = "bob" }))
	paid := create(t, s, sample(func(o *order.Order) { o.Status = order.Paid; o.UpdatedAt = noon.Add(time.Hour) }))
	tests := []struct {
		name  string
		query order.Query
		want  []string
	}{
		{"all, the newest first", order.Query{}, []string{paid.ID, bob.ID, early.ID}},
		{"status", order.Query{Status: order.Paid}, []string{paid.ID}},
		{"customer", order.Query{Customer: "bob"}, []string{bob.ID}},
		{"customer is not a pattern", order.Query{Customer: "b%"}, nil},
		{"created from, inclusive", order.Query{CreatedFrom: noon}, []string{paid.ID, bob.ID}},
		{"created before, exclusive", order.Query{CreatedBefore: noon}, []string{early.ID}},
		{"updated before", order.Query{UpdatedBefore: noon.Add(time.Minute)}, []string{bob.ID, early.ID}},
		{"all of them together", order.Query{Status: order.Pending, Customer: "ann", CreatedFrom: noon.Add(-2 * time.Hour), CreatedBefore: noon, After: bob.Position()}, []string{early.ID}},
		{"limit", order.Query{Limit: 2}, []string{paid.ID, bob.ID}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.query.Limit == 0 {
				test.query.Limit = 10
			}
			got, err := s.List(t.Context(), test.query)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, o := range got {
				ids = append(ids, o.ID)
			}
			if diff := cmp.Diff(test.want, ids); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func listPages(t *testing.T, s order.Store) {
	var want []string
	for range 7 {
		want = append([]string{create(t, s, sample()).ID}, want...)
	}
	var got []string
	for after := (order.Position{}); ; {
		page, err := s.List(t.Context(), order.Query{Limit: 3, After: after})
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, o := range page {
			got = append(got, o.ID)
		}
		after = page[len(page)-1].Position()
	}
	equal(t, want, got)
}

func listWhileOrdersCome(t *testing.T, s order.Store) {
	oldest, middle := create(t, s, sample()), create(t, s, sample())
	create(t, s, sample())
	create(t, s, sample()) // comes between the first page and the second
	page, err := s.List(t.Context(), order.Query{Limit: 3, After: middle.Position()})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, []order.Order{oldest}, page)
}

func cancelledContext(t *testing.T, s order.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Get(ctx, uuid.NewV7().String()); err == nil || errors.Is(err, order.ErrNotFound) {
		t.Errorf("Get with a cancelled context: %v", err)
	}
	if _, _, err := s.Create(ctx, sample(), order.Key{}); err == nil {
		t.Error("Create with a cancelled context succeeded")
	}
}

func ping(t *testing.T, s order.Store) {
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func textIsKept(t *testing.T, s order.Store) {
	o := create(t, s, sample(func(o *order.Order) { o.Note = "'; DROP TABLE orders; -- \" \\ \n\t ünï 🛒" }))
	got, err := s.Get(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, o, got)
}

func createTwice(t *testing.T, s order.Store) {
	o := create(t, s, sample())
	if _, _, err := s.Create(t.Context(), o, order.Key{}); err == nil {
		t.Error("the same id was stored twice")
	}
}

// Lists returns the lists that the API allows, by their filters.
func Lists() map[string]order.Query {
	from := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	filters := []struct {
		name string
		set  func(*order.Query)
	}{
		{"status", func(q *order.Query) { q.Status = order.Paid }},
		{"customer", func(q *order.Query) { q.Customer = "ann" }},
		{"from", func(q *order.Query) { q.CreatedFrom = from }},
		{"before", func(q *order.Query) { q.CreatedBefore = from.AddDate(1, 0, 0) }},
		{"after", func(q *order.Query) {
			q.After = order.Position{CreatedAt: from.AddDate(0, 6, 0), ID: "01a1fb9a-fe51-73c1-b5e5-35bd9d5446ca"}
		}},
	}
	lists := map[string]order.Query{}
	for set := range 1 << len(filters) {
		q, name := order.Query{Limit: 20}, "all"
		for i, f := range filters {
			if set>>i&1 == 1 {
				f.set(&q)
				name += " " + f.name
			}
		}
		lists[name] = q
	}
	return lists
}
