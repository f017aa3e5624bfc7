package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"gitlab.com/slipway-ci/slipway/service/api"
	"gitlab.com/slipway-ci/slipway/service/pgtest"
)

// onBothStores runs a test on a whole instance over SQLite and over PostgreSQL.
func onBothStores(t *testing.T, test func(t *testing.T, i *instance)) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, start(t, nil))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, start(t, settings{"DATABASE_URL": pgtest.Database(t)}))
	})
}

func TestLifeOfAnOrder(t *testing.T) {
	onBothStores(t, func(t *testing.T, i *instance) {
		a := i.do(t, http.MethodPost, "/v1/orders", basket)
		wantStatus(t, a, http.StatusCreated)
		o := a.order(t)
		if o.Status != api.Pending || o.Total != 300 || o.Version != 1 {
			t.Errorf("placed: %+v", o)
		}
		self := a.header.Get("Location")
		if self != "/v1/orders/"+o.Id || a.header.Get("ETag") != `"1"` {
			t.Errorf("Location %q, ETag %s", self, a.header.Get("ETag"))
		}
		a = i.do(t, http.MethodPatch, self, `{"note":"ring twice"}`, "If-Match", `"1"`)
		wantStatus(t, a, http.StatusOK)
		if o = a.order(t); o.Note != "ring twice" || o.Version != 2 || a.header.Get("ETag") != `"2"` {
			t.Errorf("changed: %+v", o)
		}
		for range 2 {
			a = i.do(t, http.MethodPost, self+"/pay", "")
			wantStatus(t, a, http.StatusOK)
			if o = a.order(t); o.Status != api.Paid || o.PaymentId == nil {
				t.Errorf("paid: %+v", o)
			}
		}
		wantStatus(t, i.do(t, http.MethodPost, self+"/cancel", ""), http.StatusConflict)
		if got := i.get(t, self).order(t); got.Status != api.Paid {
			t.Errorf("read: %+v", got)
		}
		var page api.OrderPage
		i.get(t, "/v1/orders?status=paid&customer=ann").decode(t, &page)
		if len(page.Orders) != 1 || page.Orders[0].Id != o.Id {
			t.Errorf("listed: %+v", page)
		}
	})
}

func TestPatch(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	self := "/v1/orders/" + i.place(t).Id
	a := i.do(t, http.MethodPatch, self, `{"note":"a","items":[{"sku":"b","quantity":3,"unit_price":7}]}`, "If-Match", "*")
	if o := a.order(t); o.Note != "a" || o.Total != 21 || o.Currency != "EUR" {
		t.Errorf("patched: %+v", o)
	}
	if o := i.do(t, http.MethodPatch, self, `{}`, "If-Match", `"0", "2"`).order(t); o.Note != "a" || o.Version != 3 {
		t.Errorf("an empty patch: %+v", o)
	}
	if o := i.do(t, http.MethodPatch, self, `{"note":null}`, "If-Match", `"3"`).order(t); o.Note != "" {
		t.Errorf("null removes the note: %+v", o)
	}
	tests := []struct {
		name, ifMatch, body string
		want                int
	}{
		{"no If-Match", "", `{}`, http.StatusPreconditionRequired},
		{"an old version", `"1"`, `{}`, http.StatusPreconditionFailed},
		{"a weak tag matches nothing", `W/"4"`, `{}`, http.StatusPreconditionFailed},
		{"no list of tags", `4`, `{}`, http.StatusBadRequest},
		{"items cannot be removed", `"4"`, `{"items":null}`, http.StatusUnprocessableEntity},
		{"no items", `"4"`, `{"items":[]}`, http.StatusUnprocessableEntity},
		{"what is not for changing", `"4"`, `{"customer":"bob"}`, http.StatusUnprocessableEntity},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var headers []string
			if test.ifMatch != "" {
				headers = []string{"If-Match", test.ifMatch}
			}
			a := i.do(t, http.MethodPatch, self, test.body, headers...)
			if a.problem(t); a.status != test.want {
				t.Errorf("%s: %d, want %d: %s", test.name, a.status, test.want, a.body)
			}
		})
	}
}

func TestConditionalGet(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	self := "/v1/orders/" + i.place(t).Id
	for header, want := range map[string]int{`"1"`: 304, `W/"1"`: 304, `*`: 304, `"0", "1"`: 304, `"2"`: 200, `nonsense`: 200} {
		t.Run(header, func(t *testing.T) {
			a := i.get(t, self, "If-None-Match", header)
			wantStatus(t, a, want)
			if a.header.Get("ETag") != `"1"` || want == 304 && a.body != "" {
				t.Errorf("%s: ETag %s, body %q", header, a.header.Get("ETag"), a.body)
			}
		})
	}
}

func TestIdempotencyKey(t *testing.T) {
	onBothStores(t, func(t *testing.T, i *instance) {
		first := i.do(t, http.MethodPost, "/v1/orders", basket, "Idempotency-Key", "k")
		wantStatus(t, first, http.StatusCreated)
		wantStatus(t, i.do(t, http.MethodPost, first.header.Get("Location")+"/cancel", ""), http.StatusOK)
		again := i.do(t, http.MethodPost, "/v1/orders", " "+basket, "Idempotency-Key", "k")
		wantStatus(t, again, http.StatusCreated)
		if again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" || again.header.Get("ETag") != first.header.Get("ETag") {
			t.Errorf("again: %s, first: %s, replayed %q", again.body, first.body, again.header.Get("Idempotency-Replayed"))
		}
		other := i.do(t, http.MethodPost, "/v1/orders", strings.Replace(basket, "ann", "bob", 1), "Idempotency-Key", "k")
		wantStatus(t, other, http.StatusUnprocessableEntity)
		if got := other.problem(t).Type; got != "urn:problem:orders:idempotency-key-reused" {
			t.Errorf("type %s", got)
		}
		wantStatus(t, i.do(t, http.MethodPost, "/v1/orders", basket, "Idempotency-Key", strings.Repeat("k", 129)), http.StatusBadRequest)
	})
}

func TestPages(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	var want []string
	for range 5 {
		want = append([]string{i.place(t).Id}, want...)
	}
	var got []string
	for target := "/v1/orders?limit=2"; target != ""; {
		var page api.OrderPage
		i.get(t, target).decode(t, &page)
		target = ""
		for _, o := range page.Orders {
			got = append(got, o.Id)
		}
		if page.Next != nil {
			target = "/v1/orders?limit=2&cursor=" + *page.Next
		}
		i.place(t) // pages do not shift while orders come
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	var empty api.OrderPage
	a := i.get(t, "/v1/orders?created_before=2001-01-01T00:00:00Z&created_from=2000-01-01T00:00:00%2B01:00")
	if a.decode(t, &empty); !strings.Contains(a.body, `"orders":[]`) {
		t.Errorf("no orders: %s", a.body)
	}
}

func TestDeclined(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	dear := strings.Replace(basket, "150", "900000000", 1) // above the simulator's limit
	self := i.do(t, http.MethodPost, "/v1/orders", dear).header.Get("Location")
	a := i.do(t, http.MethodPost, self+"/pay", "")
	wantStatus(t, a, http.StatusPaymentRequired)
	if got := a.problem(t).Type; got != "urn:problem:orders:payment-declined" {
		t.Errorf("type %s", got)
	}
	if o := i.get(t, self).order(t); o.Status != api.Declined {
		t.Errorf("the order is %s", o.Status)
	}
}

// TestConcurrentChanges shows that of several changes to one version exactly one wins.
func TestConcurrentChanges(t *testing.T) {
	onBothStores(t, func(t *testing.T, i *instance) {
		self := "/v1/orders/" + i.place(t).Id
		const writers = 8
		statuses := make([]int, writers)
		var all sync.WaitGroup
		for n := range writers {
			all.Go(func() {
				statuses[n] = i.do(t, http.MethodPatch, self, fmt.Sprintf(`{"note":"%d"}`, n), "If-Match", `"1"`).status
			})
		}
		all.Wait()
		counts := map[int]int{}
		for _, s := range statuses {
			counts[s]++
		}
		if counts[http.StatusOK] != 1 || counts[http.StatusPreconditionFailed] != writers-1 {
			t.Errorf("statuses %v", statuses)
		}
	})
}
