// Package page serves an HTML page with recent orders and the state of the service.
package page

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/bojanz/currency"

	"gitlab.com/slipway-ci/slipway/service/order"
	"gitlab.com/slipway-ci/slipway/service/telemetry"
)

// The parts of the page. Style and script are small enough to be inlined.
var (
	//go:embed page.html
	source string
	//go:embed style.css
	style string
	//go:embed script.js
	script string
)

// recent is how many orders are shown.
const recent = 50

// State is the state of the instance.
type State struct {
	Version  string
	Uptime   time.Duration
	InFlight int
	Parts    []Part
	Recent   telemetry.Recent
}

// Part is a component or dependency of the service.
type Part struct {
	Name, State string
	Bad         bool
}

// Page serves the page.
type Page struct {
	list     func(context.Context, order.Query) ([]order.Order, order.Position, error)
	state    func(context.Context) State
	template *template.Template
	policy   string // the Content-Security-Policy
}

// New returns the page.
func New(list func(context.Context, order.Query) ([]order.Order, order.Position, error), state func(context.Context) State) *Page {
	return &Page{list: list, state: state, policy: policy(), template: template.Must(template.New("page").Funcs(template.FuncMap{
		"amount": amount, "percent": percent, "number": number, "millis": millis}).Parse(source))}
}

// policy allows this style and this script, by their hashes, and nothing else.
func policy() string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; style-src " + hash(style) + "; script-src " + hash(script) +
		"; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
}

type filter struct {
	Name, Href string
	Current    bool
}

type view struct {
	State   State
	Orders  []order.Order
	Filters []filter
	All     bool
	Style   template.CSS
	Script  template.JS
}

// Serve responds with the page, or returns an error and writes nothing.
func (p *Page) Serve(w http.ResponseWriter, r *http.Request) error {
	status := order.Status(r.FormValue("status"))
	if status != "" && !status.Valid() {
		return order.Invalid("status", "must be a status of orders")
	}
	state := p.state(r.Context())
	state.Uptime = state.Uptime.Truncate(time.Second)
	v := view{State: state, All: status == "", Style: template.CSS(style), Script: template.JS(script), // #nosec G203 -- our own
		Filters: []filter{{Name: "all", Href: "/", Current: status == ""}}}
	for _, s := range order.Statuses {
		v.Filters = append(v.Filters, filter{Name: string(s), Href: "/?status=" + url.QueryEscape(string(s)), Current: s == status})
	}
	var err error
	if v.Orders, _, err = p.list(r.Context(), order.Query{Status: status, Limit: recent}); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := p.template.Execute(&b, v); err != nil {
		return fmt.Errorf("render page: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	_, _ = b.WriteTo(w) // an error means that the client has gone
	return nil
}

// amount formats an amount in minor units with the decimals of its currency: yen have none, dinars three.
func amount(minor int64, code string) (string, error) {
	a, err := currency.NewAmountFromInt64(minor, code)
	if err != nil {
		return "", err
	}
	f := currency.NewFormatter(currency.NewLocale("en"))
	f.CurrencyDisplay = currency.DisplayCode
	return f.Format(a), nil
}

func percent(share float64) string { return strconv.FormatFloat(share*100, 'f', 1, 64) + " %" }

func number(n float64) string { return strconv.FormatFloat(n, 'f', 0, 64) }

func millis(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1e3, 'f', 1, 64) + " ms"
}
