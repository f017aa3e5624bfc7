// Package page shows recent orders and the state of the service to people who would rather look than call.
package page

import (
	"bytes"
	"context"
	_ "embed"
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

//go:embed page.html
var source string

// recent is how many orders are shown.
const recent = 50

// State is what the page says of the instance.
type State struct {
	Version  string
	Uptime   time.Duration
	InFlight int
	Parts    []Part
	Recent   telemetry.Recent
}

// Part is something that the service needs to work.
type Part struct {
	Name, State string
	Bad         bool
}

// Page serves the page.
type Page struct {
	list     func(context.Context, order.Query) ([]order.Order, order.Position, error)
	state    func(context.Context) State
	template *template.Template
	assets   *Assets
}

// New returns the page over the orders that list finds.
func New(list func(context.Context, order.Query) ([]order.Order, order.Position, error), state func(context.Context) State, assets *Assets) *Page {
	return &Page{list: list, state: state, assets: assets, template: template.Must(template.New("page").Funcs(template.FuncMap{
		"amount": amount, "percent": percent, "number": number, "millis": millis}).Parse(source))}
}

type filter struct {
	Name, Href string
	Current    bool
}

type view struct {
	State         State
	Orders        []order.Order
	Filters       []filter
	All           bool
	Style, Script string
}

// Serve answers with the page; errors are the caller's to tell.
func (p *Page) Serve(w http.ResponseWriter, r *http.Request) error {
	status := order.Status(r.FormValue("status"))
	if status != "" && !status.Valid() {
		return order.Invalid("status", "must be a status of orders")
	}
	state := p.state(r.Context())
	state.Uptime = state.Uptime.Truncate(time.Second)
	v := view{State: state, All: status == "", Style: p.assets.URL("style.css"), Script: p.assets.URL("script.js"),
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
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Add("Vary", "Accept-Encoding")
	body := b.Bytes()
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		body = compress(body)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // the reader has gone: nobody to tell
	return nil
}

// amount writes an amount in minor units as people read it: yen have no decimals, dinars have three.
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
