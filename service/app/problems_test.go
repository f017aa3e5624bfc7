package app_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestProblems(t *testing.T) {
	onBothStores(t, testProblems)
}

func testProblems(t *testing.T, i *instance) {
	t.Helper()
	id := i.place(t).Id
	const none = "/v1/orders/01a1fb9a-fe51-73c1-b5e5-35bd9d5446ca"
	tests := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		detail, field            string // what the problem says, or part of it
	}{
		{"no such path", "GET", "/nope", "", nil, 404, "No such resource", ""},
		{"no such method", "DELETE", "/v1/orders", "", nil, 405, "GET, HEAD, POST", ""},
		{"no such order", "GET", none, "", nil, 404, "No such order", ""},
		{"an invalid id", "GET", "/v1/orders/1", "", nil, 404, "No such order", ""},
		{"pay an unknown order", "POST", none + "/pay", "", nil, 404, "No such order", ""},
		{"cancel an unknown order", "POST", none + "/cancel", "", nil, 404, "No such order", ""},
		{"change an unknown order", "PATCH", none, "{}", []string{"If-Match", "*"}, 404, "No such order", ""},
		{"unknown parameter", "GET", "/v1/orders?limt=1", "", nil, 400, "limt is not known", "limt"},
		{"unknown parameter where there are none", "GET", "/v1/orders/" + id + "?x=1", "", nil, 400, "x is not known", "x"},
		{"limit is not a number", "GET", "/v1/orders?limit=many", "", nil, 400, "limit", "limit"},
		{"limit too small", "GET", "/v1/orders?limit=0", "", nil, 400, "at least 1", "limit"},
		{"limit too large", "GET", "/v1/orders?limit=101", "", nil, 400, "at most 100", "limit"},
		{"limit twice", "GET", "/v1/orders?limit=1&limit=2", "", nil, 400, "limit", "limit"},
		{"status unknown", "GET", "/v1/orders?status=lost", "", nil, 400, "status", "status"},
		{"customer empty", "GET", "/v1/orders?customer=", "", nil, 400, "customer", "customer"},
		{"invalid time", "GET", "/v1/orders?created_from=yesterday", "", nil, 400, "created_from", "created_from"},
		{"invalid cursor", "GET", "/v1/orders?cursor=abc", "", nil, 400, "not issued by this service", "cursor"},
		{"query is malformed", "GET", "/v1/orders?a=%zz", "", nil, 400, "query", ""},
		{"body is missing", "POST", "/v1/orders", "", []string{"Content-Type", "application/json"}, 400, "not complete", ""},
		{"body is not JSON", "POST", "/v1/orders", "{nope}", nil, 400, "not valid JSON at byte 2", ""},
		{"body ends early", "POST", "/v1/orders", `{"customer":`, nil, 400, "not complete", ""},
		{"something after the body", "POST", "/v1/orders", basket + "{}", nil, 400, "not valid JSON", ""},
		{"unknown member", "POST", "/v1/orders", strings.Replace(basket, `"currency"`, `"discount":1,"currency"`, 1), nil, 422, "contract", ""},
		{"unknown member within", "POST", "/v1/orders", strings.Replace(basket, `"sku"`, `"SKU"`, 1), nil, 422, "contract", ""},
		{"member twice", "POST", "/v1/orders", strings.Replace(basket, `"currency"`, `"customer":"eve","currency"`, 1), nil, 400, "/customer is present twice", ""},
		{"wrong type", "POST", "/v1/orders", strings.Replace(basket, `2`, `"2"`, 1), nil, 422, "contract", "/items/0/quantity"},
		{"fraction", "POST", "/v1/orders", strings.Replace(basket, `2`, `2.5`, 1), nil, 422, "contract", "/items/0/quantity"},
		{"null", "POST", "/v1/orders", strings.Replace(basket, `"EUR"`, `null`, 1), nil, 422, "contract", "/currency"},
		{"body is null", "POST", "/v1/orders", `null`, nil, 422, "contract", ""},
		{"body is a list", "POST", "/v1/orders", `[]`, nil, 422, "contract", ""},
		{"not UTF-8", "POST", "/v1/orders", strings.Replace(basket, `ann`, "a\xffn", 1), nil, 400, "not valid JSON", ""},
		{"member is missing", "POST", "/v1/orders", strings.Replace(basket, `"customer":"ann",`, ``, 1), nil, 422, "contract", "/customer"},
		{"value out of range", "POST", "/v1/orders", strings.Replace(basket, `2`, `0`, 1), nil, 422, "contract", "/items/0/quantity"},
		{"item without a price", "POST", "/v1/orders", strings.Replace(basket, `,"unit_price":150`, ``, 1), nil, 422, "contract", "/items/0/unit_price"},
		{"patch to an item without a price", "PATCH", "/v1/orders/" + id, `{"items":[{"sku":"a","quantity":1}]}`, []string{"If-Match", "*"}, 422, "contract", "/items/0/unit_price"},
		{"a currency that does not exist", "POST", "/v1/orders", strings.Replace(basket, `EUR`, `XQX`, 1), nil, 422, "cannot be processed", "currency"},
		{"customer is U+0000", "GET", "/v1/orders?customer=%00", "", nil, 400, "customer", "customer"},
		{"customer is not UTF-8", "GET", "/v1/orders?customer=%ff", "", nil, 400, "UTF-8", "customer"},
		{"idempotency key is not ASCII", "POST", "/v1/orders", basket, []string{"Idempotency-Key", "k\xff"}, 400, "Idempotency-Key", "Idempotency-Key"},
		{"redundant slashes", "GET", "//v1/orders", "", nil, 404, "No such resource", ""},
		{"another site pays", "POST", "/v1/orders/" + id + "/pay", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "another site", ""},
		{"another origin pays", "POST", "/v1/orders/" + id + "/pay", "", []string{"Origin", "https://evil.example"}, 403, "another site", ""},
		{"wrong media type", "POST", "/v1/orders", basket, []string{"Content-Type", "text/plain"}, 415, "application/json", ""},
		{"wrong media type of a patch", "PATCH", "/v1/orders/" + id, "{}", []string{"Content-Type", "application/json"}, 415, "merge-patch", ""},
		{"body too large", "POST", "/v1/orders", `{"note":"` + strings.Repeat("a", 70_000) + `"}`, nil, 413, "65536 bytes", ""},
		{"page of an unknown status", "GET", "/?status=lost", "", nil, 422, "cannot be processed", "status"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := i.do(t, test.method, test.path, test.body, test.headers...)
			wantStatus(t, a, test.status)
			p := a.problem(t)
			if p.Detail == nil || !strings.Contains(*p.Detail, test.detail) {
				t.Errorf("the problem does not say %q: %s", test.detail, a.body)
			}
			if p.Instance == nil || *p.Instance != a.header.Get("X-Request-Id") {
				t.Errorf("the problem does not name the request %s: %s", a.header.Get("X-Request-Id"), a.body)
			}
			if test.field != "" && (p.Errors == nil || len(*p.Errors) != 1 || (*p.Errors)[0].Field != test.field) {
				t.Errorf("the problem does not name the field %s: %s", test.field, a.body)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	for _, path := range []string{"/v1/orders", "/nope", "/", "/openapi.yaml"} {
		h := i.get(t, path).header
		if got := h.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options is %q", path, got)
		}
		if h.Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: Strict-Transport-Security without TLS", path)
		}
		if got := h.Get("Cache-Control"); got != "private, no-cache" && got != "no-store" {
			t.Errorf("%s: Cache-Control is %q", path, got)
		}
	}
	h := i.get(t, "/").header
	if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("Content-Security-Policy %q", csp)
	}
	if got := h.Get("Referrer-Policy"); got != "no-referrer" {
		t.Errorf("Referrer-Policy %q", got)
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	i := start(t, nil)
	if got := i.get(t, "/v1/orders", "X-Request-Id", "from-proxy.1").header.Get("X-Request-Id"); got != "from-proxy.1" {
		t.Errorf("a proxy's id became %q", got)
	}
	for _, bad := range []string{"", "a b", `"><script>`, strings.Repeat("a", 65)} {
		if got := i.get(t, "/v1/orders", "X-Request-Id", bad).header.Get("X-Request-Id"); got == bad || len(got) != 32 {
			t.Errorf("the id %q became %q", bad, got)
		}
	}
	i.log.Wait(t, `"request_id":"from-proxy.1"`)
}

func TestCORS(t *testing.T) {
	t.Parallel()
	i := start(t, settings{"HTTP_CORS_ORIGINS": "https://shop.example, https://till.example"})
	a := i.do(t, http.MethodOptions, "/v1/orders", "", "Origin", "https://till.example", "Access-Control-Request-Method", "POST")
	wantStatus(t, a, http.StatusNoContent)
	if a.header.Get("Access-Control-Allow-Origin") != "https://till.example" || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "Idempotency-Key") {
		t.Errorf("preflight: %v", a.header)
	}
	a = i.get(t, "/v1/orders", "Origin", "https://shop.example")
	if a.header.Get("Access-Control-Allow-Origin") != "https://shop.example" || a.header.Get("Vary") != "Origin" {
		t.Errorf("call: %v", a.header)
	}
	for _, origin := range []string{"https://evil.example", "null", "https://shop.example.evil.example"} {
		a = i.do(t, http.MethodOptions, "/v1/orders", "", "Origin", origin, "Access-Control-Request-Method", "POST")
		if a.header.Get("Access-Control-Allow-Origin") != "" || a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d %v", origin, a.status, a.header)
		}
	}
}
