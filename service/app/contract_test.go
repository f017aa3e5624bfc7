package app_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"pgregory.net/rapid"

	"gitlab.com/slipway-ci/slipway/service/api"
)

// TestLimitsOfTheContract sends orders at random, around the limits, and compares the service with the
// contract: both accept the same orders.
func TestLimitsOfTheContract(t *testing.T) {
	t.Parallel()
	doc, err := openapi3.NewLoader().LoadFromData(api.Contract)
	if err != nil {
		t.Fatal(err)
	}
	schema := doc.Components.Schemas["NewOrder"].Value
	i := start(t, nil)
	text := func(lengths ...int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			n := rapid.SampledFrom(lengths).Draw(t, "length")
			return rapid.StringOfN(rapid.SampledFrom([]rune("aZ0.@_+- ü\n")), n, n, -1).Draw(t, "text")
		})
	}
	plain := func(n int) *rapid.Generator[string] {
		return rapid.StringOfN(rapid.SampledFrom([]rune("aZ0.-_")), n, n, -1)
	}
	item := rapid.Custom(func(t *rapid.T) map[string]any {
		return map[string]any{
			"sku":        rapid.OneOf(plain(1), plain(64), plain(65), text(0, 1, 3)).Draw(t, "sku"),
			"quantity":   rapid.SampledFrom([]int{-1, 0, 1, 2, 10_000, 10_001}).Draw(t, "quantity"),
			"unit_price": rapid.SampledFrom([]int{-1, 0, 1, 1_000_000_000, 1_000_000_001}).Draw(t, "price"),
		}
	})
	good := rapid.Just(map[string]any{"sku": "a", "quantity": 1, "unit_price": 1})
	rapid.Check(t, func(rt *rapid.T) {
		body := map[string]any{
			"customer": rapid.OneOf(plain(1), plain(100), plain(101), text(0, 1, 3)).Draw(rt, "customer"),
			"currency": rapid.SampledFrom([]string{"EUR", "JPY", "EUR", "eur", "EU", "EURO", ""}).Draw(rt, "currency"),
			"items":    rapid.OneOf(rapid.SliceOfN(good, 0, 2), rapid.SliceOfN(good, 99, 101), rapid.SliceOfN(item, 1, 2)).Draw(rt, "items"),
		}
		if rapid.Bool().Draw(rt, "noted") {
			body["note"] = text(0, 1, 1000, 1001).Draw(rt, "note")
		}
		b, err := json.Marshal(body)
		if err != nil {
			rt.Fatal(err)
		}
		var decoded any
		if err := json.Unmarshal(b, &decoded); err != nil {
			rt.Fatal(err)
		}
		broken := schema.VisitJSON(decoded)
		a := i.do(t, http.MethodPost, "/v1/orders", string(b))
		if (a.status == http.StatusCreated) != (broken == nil) {
			rt.Errorf("the service answers %d, the contract says %v: %s\n%s", a.status, broken, b, a.body)
		}
	})
}
