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
	"sync"
	"time"

	"gitlab.com/slipway-ci/slipway/service/order"
)

//go:embed page.html
var source string

// recent is how many orders are shown.
const recent = 50

// State is what the page says of the service.
type State struct {
	Problem  string // "" when all is well
	Version  string
	Uptime   time.Duration
	InFlight int
}

// Page serves the page.
type Page struct {
	list     func(context.Context, order.Query) ([]order.Order, string, error)
	state    func(context.Context) State
	template func() (*template.Template, error)
	assets   *Assets
}

// New returns the page over the orders that list finds.
func New(list func(context.Context, order.Query) ([]order.Order, string, error), state func(context.Context) State, assets *Assets) *Page {
	return &Page{list: list, state: state, assets: assets,
		// Parsed when somebody looks: most instances never show it.
		template: sync.OnceValues(func() (*template.Template, error) {
			return template.New("page").Funcs(template.FuncMap{"amount": amount}).Parse(source)
		})}
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
		return order.Invalid("status", "must be pending, paying, paid, declined or cancelled")
	}
	state := p.state(r.Context())
	state.Uptime = state.Uptime.Truncate(time.Second)
	v := view{State: state, All: status == "", Style: p.assets.URL("style.css"), Script: p.assets.URL("script.js"),
		Filters: []filter{{Name: "all", Href: "/", Current: status == ""}}}
	for _, s := range []order.Status{order.Pending, order.Paying, order.Paid, order.Declined, order.Cancelled} {
		v.Filters = append(v.Filters, filter{Name: string(s), Href: "/?status=" + url.QueryEscape(string(s)), Current: s == status})
	}
	var err error
	if v.Orders, _, err = p.list(r.Context(), order.Query{Status: status, Limit: recent}); err != nil {
		return err
	}
	t, err := p.template()
	if err != nil {
		return fmt.Errorf("parse page: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
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

// amount writes minor units as people read them. The number of decimals is two; currencies without are rare enough for
// a page that is only looked at.
func amount(minor int64) string { return fmt.Sprintf("%d.%02d", minor/100, minor%100) }
