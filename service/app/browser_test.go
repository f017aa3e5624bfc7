package app_test

import (
	"bytes"
	"context"
	"image/color"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser returns a context of a headless Chromium, and what its console complains about. Without Chromium the test is
// skipped, or fails where SLIPWAY_REQUIRE_CHROMIUM=1 says that there must be one.
func browser(t *testing.T) (ctx context.Context, complaints func() []string) {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil {
			path = found
			break
		}
	}
	if path == "" {
		const message = "there is no Chromium: install the package chromium"
		if os.Getenv("SLIPWAY_REQUIRE_CHROMIUM") == "1" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.WSURLReadTimeout(time.Minute))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's own sandbox refuses root
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	tab, stopTab := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		_ = chromedp.Cancel(tab) // waits until the browser has ended
		stopTab()
		stopAllocator()
	})
	seen := make(chan string, 100)
	err := chromedp.Listen(tab, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			seen <- e.ExceptionDetails.Text
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError {
				seen <- e.Entry.Text
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return tab, func() (all []string) {
		for {
			select {
			case s := <-seen:
				all = append(all, s)
			default:
				return all
			}
		}
	}
}

// value runs an action and returns its result.
func value[T any](t *testing.T, ctx context.Context, a chromedp.Action[T]) T { //nolint:revive // t first, as everywhere in tests
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestBrowser looks at the page as people do: styles and script load under the page's own rules, times are in the
// reader's zone, new orders appear without a reload, and filters work.
func TestBrowser(t *testing.T) {
	ctx, complaints := browser(t)
	i := start(t, nil)
	i.place(t)
	value(t, ctx, chromedp.Navigate(i.url+"/"))
	value(t, ctx, chromedp.WaitVisible(chromedp.CSS("tbody tr")))
	for what, expression := range map[string]string{
		"one row of five cells":         `document.querySelectorAll("tbody tr").length === 1 && document.querySelectorAll("tbody td").length === 5`,
		"the state":                     `document.querySelector("#parts dd").textContent === "serves"`,
		"the version":                   `document.querySelector("#version").textContent === "v1.2.3"`,
		"the style":                     `getComputedStyle(document.querySelector("td.amount")).textAlign === "right"`,
		"the time in the reader's zone": `(t => t.textContent === new Date(t.dateTime).toLocaleString())(document.querySelector("time"))`,
	} {
		t.Run(what, func(t *testing.T) {
			if !value(t, ctx, chromedp.Evaluate[bool](expression)) {
				t.Errorf("%s: %s is not so", what, expression)
			}
		})
	}
	second := i.place(t) // while somebody looks
	value(t, ctx, chromedp.WaitVisible(chromedp.CSS("tbody tr:nth-child(2)")))
	if text := value(t, ctx, chromedp.Text(chromedp.CSS("tbody"))); !strings.Contains(text, second.Id) {
		t.Errorf("the table says %q", text)
	}
	wantStatus(t, i.do(t, http.MethodPost, "/v1/orders/"+second.Id+"/pay", ""), http.StatusOK)
	value(t, ctx, chromedp.Click(chromedp.CSS(`nav a[href="/?status=paid"]`)))
	value(t, ctx, chromedp.WaitVisible(chromedp.CSS(`a[href="/?status=paid"][aria-current]`)))
	if text := value(t, ctx, chromedp.Text(chromedp.CSS("tbody"))); strings.Count(text, "EUR") != 1 || !strings.Contains(text, second.Id) {
		t.Errorf("paid orders: %q", text)
	}
	if c := complaints(); c != nil {
		t.Errorf("the browser complains: %v", c)
	}
	// When the service goes, the page says so instead of showing old news.
	if err := i.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	value(t, ctx, chromedp.WaitVisible(chromedp.CSS("#parts dd.bad")))
	if state := value(t, ctx, chromedp.Text(chromedp.CSS("#parts dd"))); state != "cannot be reached" {
		t.Errorf("after the end the state is %q", state)
	}
}

// TestBrowserOnAPhone looks at the page on a phone, in light and in dark: nothing is wider than the screen, the most important
// figures are visible without scrolling, and yen have no cents.
func TestBrowserOnAPhone(t *testing.T) {
	ctx, complaints := browser(t)
	i := start(t, nil)
	wantStatus(t, i.do(t, http.MethodPost, "/v1/orders", strings.Replace(basket, "EUR", "JPY", 1)), http.StatusCreated)
	i.place(t)
	value(t, ctx, chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateTouch))
	for scheme, light := range map[string]bool{"light": true, "dark": false} {
		t.Run(scheme, func(t *testing.T) {
			value(t, ctx, chromedp.Func(func(ctx context.Context, tab *chromedp.Target) error {
				_, err := cdp.Call(ctx, tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
					Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
				return err
			}))
			value(t, ctx, chromedp.Navigate(i.url+"/"))
			value(t, ctx, chromedp.WaitVisible(chromedp.CSS("tbody tr")))
			for what, expression := range map[string]string{
				"nothing wider than the screen": `innerWidth === 390 && document.documentElement.scrollWidth <= 390`,
				"the figures at first sight": `["Orders per minute", "Errors", "Latency, median"].every(name => [...document.querySelectorAll("#recent dt")].some(
				dt => dt.textContent === name && dt.nextElementSibling.getBoundingClientRect().bottom <= innerHeight))`,
				"version and health at first sight": `[...document.querySelectorAll("#version, #parts dd")].length === 4 &&
				[...document.querySelectorAll("#version, #parts dd")].every(e => e.getBoundingClientRect().bottom <= innerHeight)`,
				"no cents for yen":                `document.querySelector("tbody").textContent.includes("JPY\u00a0300")`,
				"links large enough for a finger": `[...document.querySelectorAll("nav a")].every(a => a.getBoundingClientRect().height >= 24)`,
			} {
				if !value(t, ctx, chromedp.Evaluate[bool](expression)) {
					t.Errorf("%s, %s: %s is not so", scheme, what, expression)
				}
			}
			picture, err := png.Decode(bytes.NewReader(value(t, ctx, chromedp.CaptureScreenshot())))
			if err != nil {
				t.Fatal(err)
			}
			background := color.GrayModel.Convert(picture.At(2, 2)).(color.Gray).Y
			if light != (background > 200) || !light != (background < 60) {
				t.Errorf("%s: the background has the brightness %d", scheme, background)
			}
		})
	}
	if c := complaints(); c != nil {
		t.Errorf("the browser complains: %v", c)
	}
}
